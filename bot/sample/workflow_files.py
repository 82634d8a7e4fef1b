"""What the workflow files of the sample's repositories say, and what their failed jobs say."""

from types import MappingProxyType

IOS = """\
name: iOS
on: [push, pull_request]
jobs:
  build-and-test:
    runs-on: macos-14
    steps:
      - uses: actions/checkout@v4
      - run: bundle exec pod install
      - run: xcodebuild test -scheme Acme -destination 'platform=iOS Simulator,name=iPhone 15'
"""
STORE = """\
name: Play Store
on: [push, pull_request]
jobs:
  assemble:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: ./gradlew lint testDebugUnitTest assembleRelease
"""
CI = """\
name: CI
on: [push, pull_request]
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: make lint test
"""
DEPLOY = """\
name: Deploy
on:
  push:
    branches: [main]
jobs:
  deploy:
    runs-on: ubuntu-latest
    environment: production
    steps:
      - run: make deploy
"""
FILES = MappingProxyType(
    {
        "mobile": MappingProxyType({"ios.yml": IOS, "play-store.yml": STORE}),
        "api": MappingProxyType({"ci.yml": CI, "deploy.yml": DEPLOY}),
        "web": MappingProxyType({"ci.yml": CI}),
        "billing": MappingProxyType({"ci.yml": CI}),
    }
)
"""Repository's first name → file below `.github/workflows` → content."""

SAID = (
    ("shared/cart/Totals.kt", 41, "expected: <1299> but was: <1300>"),
    ("ios/Checkout/CartView.swift", 88, 'XCTAssertEqual failed: ("2 items") is not ("3 items")'),
    ("tests/test_refunds.py", 17, "AssertionError: a refund was booked twice"),
    ("src/checkout.ts", 203, "Property 'currency' does not exist on type 'Cart'."),
)
"""Path, line and words of annotations; which of them a job has, its number says."""
