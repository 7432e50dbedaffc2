"""Helm as a shared library, called as a program: what `tests/support/helm.py` uses where no `helm` is
on the PATH. A process of its own, because Go's runtime would take over signals.

    python -m tests.support.helm_library LIBRARY template CHART KUBE_VERSION VALUES…
    python -m tests.support.helm_library LIBRARY lint CHART

Source: helm-java, `native/main.go`, whose C structures these are.
"""

import ctypes
import sys
from typing import Final

_RELEASE: Final = b"bank"
_NAMESPACE: Final = b"ledger"


class _Result(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ("out", "err", "std_out", "std_err")]


class _TemplateOptions(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_char_p) for name in ("name", "version", "chart", "namespace")),
        ("kube_version", ctypes.c_char_p),
        *((name, ctypes.c_int) for name in ("dependency_update", "skip_crds")),
        *((name, ctypes.c_char_p) for name in ("values", "set_files", "values_files")),
        *((name, ctypes.c_char_p) for name in ("cert_file", "key_file", "ca_file")),
        *((name, ctypes.c_int) for name in ("insecure_skip_tls_verify", "plain_http")),
        ("keyring", ctypes.c_char_p),
        ("debug", ctypes.c_int),
        ("repository_config", ctypes.c_char_p),
    ]


class _LintOptions(ctypes.Structure):
    _fields_ = [("path", ctypes.c_char_p), ("strict", ctypes.c_int), ("quiet", ctypes.c_int)]


def main(library: str, verb: str, chart: str, *rest: str) -> int:
    """Do one thing; what Helm answers goes to stdout, what it refuses to stderr."""
    helm = ctypes.CDLL(library)
    function = helm.Template if verb == "template" else helm.Lint
    function.restype = _Result
    options: ctypes.Structure
    if verb == "template":
        kube_version, *values = rest
        options = _TemplateOptions(
            name=_RELEASE,
            namespace=_NAMESPACE,
            chart=chart.encode(),
            kube_version=kube_version.encode(),
            values_files=",".join(values).encode(),
        )
    else:
        options = _LintOptions(path=chart.encode(), strict=1)
    result = function(ctypes.byref(options))
    sys.stdout.write((result.out or b"").decode())
    sys.stderr.write((result.err or b"").decode())
    return 1 if result.err else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
