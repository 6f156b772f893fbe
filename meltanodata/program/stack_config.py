"""The settings and secrets of the running program, from `pulumi.Config`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

from meltanodata.config import settings_loading
from meltanodata.config.settings import NAMESPACE, without_namespace

if TYPE_CHECKING:
    from datetime import datetime

    from meltanodata.config.settings import Secrets, Settings


def read(now: datetime) -> tuple[Settings, Secrets]:
    """The running program's settings and secrets; the certificate has to be valid `now`.

    Raises:
        ProblemsError: every missing or wrong setting, each with the command that corrects it.
    """
    config = pulumi.Config(NAMESPACE)
    values = {name: config.get(name) for name in sorted(without_namespace({**get_config_env(), **CONFIG.get()}))}
    stated = {name: value for name, value in values.items() if value is not None}
    return settings_loading.from_values(stated, pulumi.get_stack(), now)
