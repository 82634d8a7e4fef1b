"""The 4 repositories of "acme": how each works, and the words its work is described with."""

from dataclasses import dataclass
from datetime import UTC, datetime

ORGANIZATION = {
    "login": "acme",
    "id": 60254171,
    "url": "https://api.github.com/orgs/acme",
    "avatar_url": "https://avatars.githubusercontent.com/u/60254171?v=4",
    "description": "Everything the coyote needs",
}
INSTALLATION_ID = 51773902
APP_ID = 884213


@dataclass(frozen=True)
class Area:
    """A part of a repository: its label, its folder, its files and what is done to it."""

    label: str
    folder: str
    files: tuple[str, ...]
    subjects: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """How one repository works: pace and habits; `changes`, `slots` are (early, late) a day."""

    id: int
    name: str
    language: str
    created_at: datetime
    first_number: int
    history: int
    changes: tuple[float, float]
    slots: tuple[float, float]
    merges: tuple[tuple[str, float], ...]
    areas: tuple[Area, ...]
    build_minutes: float
    former_name: str | None = None
    staging: str | None = "staging"
    releases: bool = False
    deploy_workflow: bool = False
    bot: str = "dependabot"


_API = (
    Area(
        "orders",
        "src/orders",
        ("routes.py", "models.py", "service.py", "pricing.py", "tests/test_orders.py"),
        ("order cancellation", "bulk orders", "order totals", "order search", "idempotency keys"),
    ),
    Area(
        "auth",
        "src/auth",
        ("tokens.py", "sessions.py", "permissions.py", "tests/test_tokens.py"),
        ("token refresh", "session expiry", "scoped API keys", "role checks", "audit trail"),
    ),
    Area(
        "catalog",
        "src/catalog",
        ("search.py", "index.py", "cache.py", "tests/test_search.py"),
        ("faceted search", "product cache", "stock levels", "price lists", "category tree"),
    ),
    Area(
        "platform",
        "src/platform",
        ("database.py", "logging.py", "settings.py", "tests/test_settings.py"),
        ("connection pool", "structured logs", "slow query alarms", "graceful shutdown"),
    ),
)
_WEB = (
    Area(
        "checkout",
        "app/checkout",
        ("Cart.tsx", "Payment.tsx", "Address.tsx", "useCheckout.ts", "checkout.test.ts"),
        ("address form", "guest checkout", "voucher field", "cart summary", "payment errors"),
    ),
    Area(
        "shop",
        "app/shop",
        ("ProductList.tsx", "Filters.tsx", "ProductPage.tsx", "shop.test.ts"),
        ("product filters", "image gallery", "empty states", "pagination", "product reviews"),
    ),
    Area(
        "design",
        "app/ui",
        ("Button.tsx", "Dialog.tsx", "tokens.css", "ui.test.ts"),
        ("dark mode", "focus order", "dialog animation", "button sizes", "colour contrast"),
    ),
)
_MOBILE = (
    Area(
        "ios",
        "ios/Shop",
        ("CartView.swift", "LoginView.swift", "PushHandler.swift", "ShopTests.swift"),
        ("widget", "push permissions", "Face ID login", "offline cart", "launch time"),
    ),
    Area(
        "android",
        "android/app/src/main/java/com/acme/shop",
        ("CartFragment.kt", "LoginActivity.kt", "PushService.kt", "CartTest.kt"),
        ("app links", "back gesture", "biometric login", "deep link parsing", "crash on rotate"),
    ),
    Area(
        "shared",
        "shared",
        ("api/schema.json", "strings/de.json", "strings/en.json", "analytics/events.json"),
        ("translations", "analytics events", "API schema", "feature flags"),
    ),
)
_BILLING = (
    Area(
        "invoices",
        "internal/invoices",
        ("render.go", "numbering.go", "store.go", "render_test.go"),
        ("credit notes", "invoice numbering", "PDF layout", "due dates", "dunning letters"),
    ),
    Area(
        "payments",
        "internal/payments",
        ("gateway.go", "webhook.go", "refund.go", "refund_test.go"),
        ("SEPA mandates", "partial refunds", "gateway timeouts", "double charges"),
    ),
    Area(
        "tax",
        "internal/tax",
        ("rates.go", "vatid.go", "rates_test.go"),
        ("VAT rates", "reverse charge", "VAT id checks"),
    ),
)

PLANS = (
    Plan(
        id=310882104,
        name="api",
        language="Python",
        created_at=datetime(2021, 3, 2, 9, 14, 5, tzinfo=UTC),
        first_number=1840,
        history=420,
        changes=(1.6, 2.3),
        slots=(2.6, 5.5),
        merges=(("squash", 0.9), ("merge", 0.06), ("rebase", 0.04)),
        areas=_API,
        build_minutes=7.5,
        deploy_workflow=True,
    ),
    Plan(
        id=310882377,
        name="web",
        language="TypeScript",
        created_at=datetime(2021, 3, 2, 10, 40, 51, tzinfo=UTC),
        first_number=2210,
        history=300,
        changes=(1.5, 2.1),
        slots=(2.3, 5.0),
        merges=(("squash", 0.95), ("merge", 0.05)),
        areas=_WEB,
        build_minutes=5.5,
        bot="renovate",
    ),
    Plan(
        id=402117745,
        name="mobile",
        language="Swift",
        created_at=datetime(2022, 6, 14, 7, 2, 33, tzinfo=UTC),
        first_number=655,
        history=180,
        changes=(0.9, 1.2),
        slots=(1.1, 2.3),
        merges=(("squash", 0.8), ("rebase", 0.2)),
        areas=_MOBILE,
        build_minutes=4,
        staging=None,
        releases=True,
        bot="renovate",
    ),
    Plan(
        id=488310296,
        name="billing",
        former_name="payments-service",
        language="Go",
        created_at=datetime(2023, 11, 20, 13, 30, 0, tzinfo=UTC),
        first_number=305,
        history=120,
        changes=(0.7, 0.9),
        slots=(1.3, 3.0),
        merges=(("merge", 0.6), ("squash", 0.4)),
        areas=_BILLING,
        build_minutes=3.5,
        staging=None,
    ),
)
