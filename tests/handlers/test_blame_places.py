"""Where an incident happened: what tells most surely, and what tells nothing."""

import pytest

from handlers.places import NOWHERE, Known, Told, is_generic, place_of, same_environment


def known(repository: str, service: str = "production", in_class: str = "production") -> Known:
    return Known(
        f"{repository}/{in_class}/{service}",
        f"id-{repository}",
        f"acme/{repository}",
        service,
        in_class,
    )


SERVICES = [
    known("api"),
    known("api", "staging", "staging"),
    known("shop", "web"),
    known("shop", "ios"),
    known("billing"),
]


def told(
    title: str = "Everything is slow",
    *,
    names: tuple[str, ...] = (),
    detail: str = "",
    channel: str = "",
    repository_id: str | None = None,
    service: str | None = None,
) -> Told:
    return Told("production", repository_id, service, names, title, detail, channel)


WEB, IOS = "shop/production/web", "shop/production/ios"


@pytest.mark.parametrize(
    ("incident", "services", "reason"),
    [
        (told(), (), NOWHERE),
        (told("The api is down"), ("api/production/production",), "its title names api"),
        (told("API: 500s"), ("api/production/production",), "its title names api"),
        (told("the rapid api-gateway is down"), (), NOWHERE),
        (told("See https://grafana.example.com/d/api for more"), (), NOWHERE),
        (told("shop is down"), (IOS, WEB), "its title names shop"),
        (told("web is down"), (WEB,), "its title names web"),
        (told("production is down"), (), NOWHERE),
        (
            told(detail="since billing was deployed, api"),
            ("billing/production/production",),
            "its text names billing",
        ),
        (
            told(channel="incident-billing"),
            ("billing/production/production",),
            "its channel names billing",
        ),
        (told("web", channel="incident-billing"), (WEB,), "its title names web"),
        (told("api", names=("number:acme/shop#3",)), (IOS, WEB), "its words refer to acme/shop"),
        (told("api", names=("repository:acme/shop",)), (IOS, WEB), "its words refer to acme/shop"),
        (told(names=("number:#3", "number:acme/elsewhere#3")), (), NOWHERE),
        (
            told("api", names=("sha:abcdef1",)),
            ("billing/production/production",),
            "its words refer to acme/billing",
        ),
        (told("api", repository_id="id-shop"), (IOS, WEB), "its source or a person said so"),
        (
            told("api", repository_id="id-shop", service="Web"),
            (WEB,),
            "its source or a person said so",
        ),
        (
            told("api", repository_id="id-shop", service="tv"),
            (IOS, WEB),
            "its source or a person said so",
        ),
        (told("api", service="ios"), (IOS,), "its source or a person said so"),
        (told("api", service="shop"), (IOS, WEB), "its source or a person said so"),
        (told("api", service="tv"), ("api/production/production",), "its title names api"),
    ],
)
def test_the_place_is_what_tells_most_surely(
    incident: Told, services: tuple[str, ...], reason: str
) -> None:
    place = place_of(incident, SERVICES, {"sha:abcdef1": "id-billing"})
    assert (place.services, place.reason) == (services, reason)
    assert place.service_id == (services[0] if len(services) == 1 else None)


def test_a_name_that_two_repositories_share_names_neither() -> None:
    services = [known("shop", "web"), known("site", "web")]
    assert place_of(told("web is down"), services, {}).reason == NOWHERE


def test_the_only_production_service_is_the_place_of_what_tells_nothing() -> None:
    services = [known("api"), known("api", "staging", "staging")]
    place = place_of(told(), services, {})
    assert place.services == ("api/production/production",)
    assert place.reason == "it is the only production service there is"


def test_a_repository_of_which_nothing_was_deployed_is_a_place_without_services() -> None:
    place = place_of(told(repository_id="id-new"), SERVICES, {})
    assert (place.repository_id, place.services) == ("id-new", ())


def test_names_of_environments_that_say_no_more_than_their_class_mean_any() -> None:
    assert is_generic("Production")
    assert is_generic("prod")
    assert not is_generic("prod-eu")
    assert not is_generic("eu")
    assert same_environment("prod", "prod-eu")
    assert same_environment("prod-eu", "production")
    assert not same_environment("prod-eu", "prod-us")


def test_a_former_name_means_its_repository_until_another_has_it() -> None:
    backend = Known("b", "id-b", "acme/backend", "production", "production", ("acme/api",))
    other = Known("o", "id-o", "acme/shop", "production", "production")
    young = Known("y", "id-y", "acme/api", "production", "production")
    for incident in (told(names=("number:acme/api#1",)), told("api is down")):
        assert place_of(incident, [backend, other], {}).repository_id == "id-b"
        assert place_of(incident, [backend, other, young], {}).repository_id == "id-y"
    named = told(service="api")
    assert place_of(named, [backend, other], {}).service_id == "b"
    assert place_of(named, [backend, other, young], {}).service_id == "y"
