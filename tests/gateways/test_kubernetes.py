"""deploy/kubernetes: what can be told without a cluster, and whether the service starts with its settings."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from auth_service import settings
from tests.support.gateways import DEPLOY, exchanged

pytestmark = pytest.mark.row("E18")
Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def manifests() -> dict[str, Manifest]:
    """By kind and name."""
    documents = yaml.safe_load_all((DEPLOY / "kubernetes" / "auth-service.yaml").read_text())
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in documents}


@pytest.fixture
def pod(manifests: dict[str, Manifest]) -> Manifest:
    spec: Manifest = manifests["Deployment/auth-service"]["spec"]["template"]["spec"]
    return spec


def test_nobody_is_root_and_nobody_can_become_it(pod: Manifest) -> None:
    account = pod["securityContext"]
    assert (account["runAsNonRoot"], account["runAsUser"], pod["automountServiceAccountToken"]) == (True, 10001, False)
    for container in (*pod["initContainers"], *pod["containers"]):
        confined = container["securityContext"]
        assert (confined["allowPrivilegeEscalation"], confined["readOnlyRootFilesystem"]) == (False, True)
        assert confined["capabilities"] == {"drop": ["ALL"]}


def test_services_and_budget_mean_the_pods_that_the_deployment_makes(manifests: dict[str, Manifest]) -> None:
    deployment = manifests["Deployment/auth-service"]["spec"]
    labels, (container,) = deployment["template"]["metadata"]["labels"], deployment["template"]["spec"]["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}

    assert deployment["selector"]["matchLabels"] == labels
    for name in ("Service/auth-service", "Service/auth-service-replicas"):
        service = manifests[name]["spec"]
        assert service["selector"] == labels
        assert {each["targetPort"]: each["port"] for each in service["ports"]} == ports
    assert manifests["PodDisruptionBudget/auth-service"]["spec"]["selector"]["matchLabels"] == labels


def test_a_rollout_takes_nobody_away_before_the_next_is_there_and_lets_calls_end(
    manifests: dict[str, Manifest], pod: Manifest, tmp_path: Path
) -> None:
    deployment, (container,) = manifests["Deployment/auth-service"]["spec"], pod["containers"]
    loaded = _settings(container, tmp_path)

    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert pod["terminationGracePeriodSeconds"] > (loaded.drain + loaded.grace).total_seconds()
    # A replica that leaves says so, and is left alone before it closes its door.
    noticed_after = container["readinessProbe"]["periodSeconds"] + container["readinessProbe"]["timeoutSeconds"]
    assert noticed_after < loaded.drain.total_seconds()
    probes = [container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert probes == ["/healthz", "/healthz", "/readyz"]


def test_the_service_starts_with_its_settings_and_has_no_secret_without_a_file(pod: Manifest, tmp_path: Path) -> None:
    for container in (*pod["initContainers"], *pod["containers"]):
        loaded = _settings(container, tmp_path)
        assert not loaded.is_embedded
        for each in container["env"]:
            assert not each["name"].endswith(("_URL", "_KEYS", "_KEY", "_PASSWORD", "_SECRET")), each["name"]


def _settings(container: Manifest, home: Path) -> settings.Settings:
    """As the container loads them; the secrets are of this test. Raises SettingsRefused."""
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    (home / "database_url").write_text("postgresql://auth:not-to-be-known@db/auth")
    (home / "key_encryption_keys").write_text(base64.b64encode(bytes(range(32))).decode())
    here = {mounts["secrets"]: [str(home)], mounts["policy"]: [str(DEPLOY)]}
    given = {each["name"]: exchanged(each["value"], here).strip() for each in container["env"]}
    # What the image says.
    image = {"AUTH_PROFILE": "production", "AUTH_GRPC_ADDRESS": "0.0.0.0:50051", "AUTH_HTTP_ADDRESS": "0.0.0.0:8080"}
    (home / "key_encryption_keys").chmod(0o640)
    return settings.load(image | given)[0]
