# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests: they boot the real image in QEMU and talk to it as an operator would."""
import re

import pytest

from machine import Machine, Scenario

# The processors under test, with both ways in which firmware can describe a machine.
CPUS = {"max": {"cpu": "max"}, "cortex-a72": {"cpu": "cortex-a72", "acpi": False}, "neoverse-n1": {"cpu": "neoverse-n1"}}


def pytest_configure(config):
    """One line for each test, with how long it took: these take seconds, and people watch."""
    config.option.verbose = max(config.option.verbose, 1)


def pytest_report_teststatus(report):
    if report.when == "call" and report.passed:
        return "passed", ".", f"PASSED {report.duration:.1f} s"
    return None


@pytest.fixture
def boot(request):
    """boot(source, files=None, **options of Machine): a machine with this manifest, until the test ends."""
    machines = []
    name = re.sub(r"^test_", "", request.node.name)

    def start(source, files=None, **options):
        number = f"-{len(machines) + 1}" if machines else ""
        machines.append(Machine(Scenario(name + number, source, files), **options))
        return machines[-1]

    yield start
    for machine in machines:
        machine.close()


class Shared:
    """A machine for many tests. One that a test has failed on is not used again."""

    def __init__(self):
        self.key = None
        self.machine = None

    def get(self, key, make):
        if key != self.key or self.machine.child is None:
            self.drop()
            self.machine, self.key = make(), key
        return self.machine

    def drop(self):
        if self.machine:
            self.machine.close()
        self.machine, self.key = None, None


@pytest.fixture(scope="session")
def _shared():
    shared = Shared()
    yield shared
    shared.drop()


@pytest.fixture
def share(request, _shared):
    """share(name, source, **options): like boot(), but the next test that asks for the same name gets the same one."""
    def get(name, source, **options):
        return _shared.get(name, lambda: Machine(Scenario(name, source), **options).booted())

    yield get
    if request.node.failed:
        _shared.drop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    item.failed = getattr(item, "failed", False) or outcome.get_result().failed
