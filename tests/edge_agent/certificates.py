"""A certificate authority for tests, made with the openssl of the machine: as a person with a shell would make one."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, in PEM files."""

    cert: Path
    key: Path


class Authority:
    """Signs certificates; two authorities do not know each other.

    Parameters
    ----------
    folder : Path
        Made here; holds every file.
    """

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = folder / "ca.key"
        self.cert = folder / "ca.crt"
        _openssl(
            *("req", "-x509", *_CURVE, "-days", "30", "-subj", f"/CN={name}"),
            *("-addext", "keyUsage=critical,keyCertSign", "-keyout", self._key, "-out", self.cert),
        )

    def server(self, host: str, name: str = "server") -> Certificate:
        """Of a broker; ``host`` as OpenSSL writes it: ``IP:127.0.0.1`` or ``DNS:example``."""
        return self._sign(name, f"subjectAltName={host}\nextendedKeyUsage=serverAuth\n")

    def client(self, name: str, days: int = 30) -> Certificate:
        """Of a client with this CN; a negative number of days is over already."""
        return self._sign(name, "extendedKeyUsage=clientAuth\n", days)

    def self_signed(self, name: str) -> Certificate:
        """Of a client that vouches for itself."""
        made = Certificate(self._folder / f"self-{name}.crt", self._folder / f"self-{name}.key")
        _openssl(
            *("req", "-x509", *_CURVE, "-days", "30", "-subj", f"/CN={name}", "-keyout", made.key, "-out", made.cert)
        )
        return made

    def _sign(self, name: str, extensions: str, days: int = 30) -> Certificate:
        stem = self._folder / f"{name}{days}"
        made = Certificate(stem.with_suffix(".crt"), stem.with_suffix(".key"))
        request, asked = stem.with_suffix(".csr"), stem.with_suffix(".ext")
        asked.write_text(f"{extensions}keyUsage=critical,digitalSignature\nauthorityKeyIdentifier=keyid\n")
        _openssl("req", "-new", *_CURVE, "-subj", f"/CN={name}", "-keyout", made.key, "-out", request)
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self._key, "-CAcreateserial"),
            *("-days", str(days), "-extfile", asked, "-out", made.cert),
        )
        return made


def _openssl(*arguments: str | Path) -> None:
    run = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"openssl {arguments[0]} did not work: {run.stderr}")
