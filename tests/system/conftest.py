# SPDX-License-Identifier: Apache-2.0
"""
Fixtures of the system tests: they boot the real images in emulators and talk to them as an operator would. A test that
boots runs once on each platform that its marker `platforms` names, or on one of each backend.
"""
import dataclasses
import re

import pytest
from _pytest.runner import runtestprotocol

from machine import EL2, SVM, VMX, Backend, Machine, Scenario  # before the others: it knows where they are

from cardside import CardSide
from managed import Tap, boot_managed


@dataclasses.dataclass(frozen=True)
class Platform:
    """A server: a backend, and what its emulator is told."""
    name: str
    backend: Backend
    options: dict  # of Machine
    source: str = "ACPI"  # where the loader knows its cores from
    host: dict = dataclasses.field(default_factory=dict)  # the manifest's options
    vm: dict = dataclasses.field(default_factory=dict)  # those of the VMs under test

    def with_name(self, name, **changes):
        return dataclasses.replace(self, name=name, **changes)


# cpu max is all that QEMU has. Milan is the smallest processor that QEMU gives SVM with no help for RIP; it has no IOMMU.
PLATFORMS = {p.name: p for p in [
    Platform("el2-max", EL2, {"cpu": "max"}),
    Platform("el2-cortex-a72", EL2, {"cpu": "cortex-a72", "acpi": False}, "device tree"),
    Platform("el2-neoverse-n1", EL2, {"cpu": "neoverse-n1"}),
    Platform("svm-max", SVM, {"cpu": "max"}),
    Platform("svm-milan", SVM, {"cpu": "EPYC-Milan,+svm,+npt,+x2apic,-nrip-save", "iommu": None}),
    Platform("vmx", VMX, {}, "MP services"),
]}
# Interrupts by list registers.
VIRTUAL = PLATFORMS["el2-max"].with_name("el2-virtual", vm={"virtual_interrupts": 1})
EACH = ("el2-max", "svm-max", "vmx")
ARM64 = ("el2-max", "el2-cortex-a72", "el2-neoverse-n1")
ALL = tuple(PLATFORMS)


def pytest_configure(config):
    """One line for each test, with how long it took: these take seconds, and people watch."""
    config.option.verbose = max(config.option.verbose, 1)
    for backend in (EL2, SVM, VMX):
        config.addinivalue_line("markers", f"{backend.name}: runs on this backend")
    config.addinivalue_line("markers", "platforms(name or Platform, ...): where a test runs; else on one of each backend")
    config.addinivalue_line("markers", "cases(of=function): parameter `case`, each of what @function gives for the backend")


def pytest_report_teststatus(report):
    if report.when == "call" and report.passed:
        return "passed", ".", f"PASSED {report.duration:.1f} s"
    return None


def param(platform, *values, name=""):
    return pytest.param(platform, *values, id=f"{platform.name}{name}", marks=getattr(pytest.mark, platform.backend.name))


def pytest_generate_tests(metafunc):
    """@pytest.mark.cases(of=function): each case has a line that names it."""
    if "platform" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("platforms")
    platforms = [PLATFORMS[p] if isinstance(p, str) else p for p in (marker.args if marker else EACH)]
    cases = metafunc.definition.get_closest_marker("cases")
    if not cases:
        metafunc.parametrize("platform", [param(p) for p in platforms], indirect=True)
        return
    metafunc.parametrize("platform, case", [param(p, case, name=f"-{case.line.replace(' ', '_')}") for p in platforms
                                            for case in cases.kwargs["of"](p.backend)], indirect=["platform"])


def pytest_collection_modifyitems(items):
    """File by file, and in each platform by platform, so that machines that tests share are booted once."""
    files, platforms = [], ["none"]

    def place(known, key):
        if key not in known:
            known.append(key)
        return known.index(key)

    def rank(item):
        platform = item.callspec.params.get("platform") if hasattr(item, "callspec") else None
        return place(files, item.path), place(platforms, platform.name if platform else "none")

    items[:] = [item for _, item in sorted(enumerate(items), key=lambda pair: (*rank(pair[1]), pair[0]))]


@pytest.fixture
def platform(request):
    return request.param


@pytest.fixture
def boot(request, platform):
    """boot(source, files=None, **options of Machine): a machine with this manifest, until the test ends."""
    machines = []
    name = re.sub(r"^test_", "", request.node.name)

    def start(source, files=None, blob=None, **options):
        number = f"-{len(machines) + 1}" if machines else ""
        scenario = Scenario(platform.backend, name + number, source, files)
        machines.append(Machine(scenario, blob, **{**platform.options, **options}))
        return machines[-1]

    yield start
    for machine in machines:
        machine.close()


@pytest.fixture
def card():
    side = CardSide()
    yield side
    side.close()


@pytest.fixture
def tap(card):
    """What is said between bhvsock and bhcard."""
    between = Tap(card)
    yield between
    between.close()


@pytest.fixture
def managed(boot, card):
    """A server without VMs, and its card; behind the tap, where a test names that first."""
    return boot_managed(boot, card.start())


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


SHARED = Shared()


def pytest_runtest_setup(item):
    """A machine that nobody shares any more would keep a core busy beside the tests that follow."""
    if "share" not in item.fixturenames:
        SHARED.drop()


def pytest_sessionfinish():
    SHARED.drop()


@pytest.fixture
def share(request, platform):
    """share(name, source, **options): like boot(), but the next test that asks for the same name gets the same one."""
    def get(name, source, **options):
        name = f"{name}-{platform.name}"
        return SHARED.get(name, lambda: Machine(Scenario(platform.backend, name, source),
                                                 **{**platform.options, **options}).booted())

    yield get
    if request.node.failed:
        SHARED.drop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    item.failed = getattr(item, "failed", False) or outcome.get_result().failed


# QEMU's own bugs that end it at any time, where functions' BARs come and go: docs/rigs.md.
EMULATOR_BUG = re.compile(r"qemu-system-\S+: \S+: (iotlb_to_section: Assertion `section_index < d->map\.sections_nb' failed)\.")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    """A test whose emulator died of such a bug has shown nothing: it runs again, once, and that is said."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    bug = next((match for r in reports if r.failed and (match := EMULATOR_BUG.search(r.longreprtext))), None)
    if bug:
        item.config.pluginmanager.get_plugin("terminalreporter").write_line(
            f"{item.nodeid}: once more, as the emulator died of a bug of its own: {bug.group(1)}")
        item.failed = False
        item._initrequest()  # pylint: disable=protected-access
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
