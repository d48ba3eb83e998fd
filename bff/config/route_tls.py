"""TLS to the upstream of a route: whose certificates it trusts, and the client certificate that it presents."""

import ssl
from functools import cached_property
from pathlib import Path

from bff.config import validators
from bff.config.field_types import File
from bff.config.route_path import RoutePath
from bff.config.section import over
from bff.errors import ConfigurationError


class RouteTls(RoutePath):
    """Without these files: the system's trust store, and no client certificate."""

    ca_file: File | None = None
    client_cert_file: File | None = None
    client_key_file: File | None = None

    @over("ca_file", "upstream")
    def _ca_needs_https(self) -> None:
        self._needs_https(self.ca_file)

    @over("client_cert_file", "upstream")
    def _certificate_needs_https(self) -> None:
        self._needs_https(self.client_cert_file)

    @over("client_key_file", "client_cert_file")
    def _key_with_certificate(self) -> None:
        if self.client_key_file is not None and self.client_cert_file is None:
            raise validators.invalid("is set without client_cert_file.", "Set both: the certificate and its key.")

    def _needs_https(self, file: Path | None) -> None:
        if file is not None and self.upstream.startswith("http:"):
            raise validators.invalid("is set, and the upstream is http.", "Use https in upstream, or remove it.")

    @property
    def tls_files(self) -> tuple[Path | None, Path | None, Path | None]:
        return self.ca_file, self.client_cert_file, self.client_key_file

    @cached_property
    def tls(self) -> ssl.SSLContext | None:
        """None: the system's trust store, and no client certificate.

        Raises ConfigurationError for files that are not a certificate or a key.
        """
        if self.tls_files == (None, None, None):
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.client_cert_file is not None:
                context.load_cert_chain(self.client_cert_file, self.client_key_file)
        except (ssl.SSLError, OSError, ValueError):
            problem = f"{self.prefix} names a ca_file, client_cert_file or client_key_file that cannot be used."
            fix = "Give PEM files: an unencrypted key, and its certificate."
            raise ConfigurationError("BFF_ROUTES", problem, fix) from None
        return context
