"""Stability: change failure rate, recovery time, time to restore and rework rate (R4 to R6)."""

from models.metrics.failures import METRIC as FAILURES
from models.metrics.failures import (
    ChangeFailureRate,
    FailureBucket,
    FailureCount,
    RepositoryFailures,
    change_failure_rate,
    change_failure_rate_by_repository,
    change_failure_rate_series,
    failures,
)
from models.metrics.recovery import METRIC as RECOVERIES
from models.metrics.recovery import (
    RecoveryTime,
    failed_deployment_recovery_time,
    failed_deployment_recovery_time_by_repository,
    failed_deployment_recovery_time_histogram,
    failed_deployment_recovery_time_series,
    recoveries,
)
from models.metrics.restore import METRIC as RESTORES
from models.metrics.restore import (
    RepositoryRestore,
    RestoreBucket,
    RestoreFigures,
    TimeToRestore,
    restores,
    time_to_restore,
    time_to_restore_by_repository,
    time_to_restore_histogram,
    time_to_restore_series,
)
from models.metrics.rework import METRIC as REWORK
from models.metrics.rework import (
    RepositoryRework,
    ReworkBucket,
    ReworkCount,
    ReworkRate,
    rework,
    rework_rate,
    rework_rate_by_repository,
    rework_rate_series,
)

__all__ = [
    "FAILURES",
    "RECOVERIES",
    "RESTORES",
    "REWORK",
    "ChangeFailureRate",
    "FailureBucket",
    "FailureCount",
    "RecoveryTime",
    "RepositoryFailures",
    "RepositoryRestore",
    "RepositoryRework",
    "RestoreBucket",
    "RestoreFigures",
    "ReworkBucket",
    "ReworkCount",
    "ReworkRate",
    "TimeToRestore",
    "change_failure_rate",
    "change_failure_rate_by_repository",
    "change_failure_rate_series",
    "failed_deployment_recovery_time",
    "failed_deployment_recovery_time_by_repository",
    "failed_deployment_recovery_time_histogram",
    "failed_deployment_recovery_time_series",
    "failures",
    "recoveries",
    "restores",
    "rework",
    "rework_rate",
    "rework_rate_by_repository",
    "rework_rate_series",
    "time_to_restore",
    "time_to_restore_by_repository",
    "time_to_restore_histogram",
    "time_to_restore_series",
]
