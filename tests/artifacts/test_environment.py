"""What other programs get of our environment."""

from __future__ import annotations

from artifacts.environment import for_programs, without_secrets

OURS = {
    "PATH": "/bin",
    "LC_TIME": "C",
    "https_proxy": "http://u:p@proxy",
    "CENTERNET_REGISTRY_USER": "alice",
    "CENTERNET_REGISTRY_PASSWORD": "wonder",
    "CENTERNET_KEY_PASSPHRASE": "open",
    "CENTERNET_CACHE": "/cache",
    "UV_INDEX_URL": "https://u:p@index/simple",
    "PIP_INDEX_URL": "https://u:p@index/simple",
    "PREFECT_API_KEY": "key",
    "NETRC": "/home/netrc",
    "NETRC_MORE": "no",
}


def test_a_program_of_others_gets_what_is_listed_and_nothing_else() -> None:
    assert for_programs(OURS) == {"PATH": "/bin", "LC_TIME": "C"}
    assert for_programs(OURS, network=True).keys() == {"PATH", "LC_TIME", "https_proxy"}
    assert for_programs(OURS, "UV_", "NETRC").keys() == {"PATH", "LC_TIME", "UV_INDEX_URL", "NETRC"}


def test_a_process_of_ours_that_needs_no_secret_gets_none() -> None:
    assert without_secrets(OURS).keys() == {
        "PATH", "LC_TIME", "https_proxy", "CENTERNET_CACHE", "PREFECT_API_KEY", "NETRC", "NETRC_MORE"
    }  # fmt: skip
