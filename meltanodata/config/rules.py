"""The rules for a fleet beyond the form of each entry. Pure; every rule names every tenant that breaks it.

`placement` is where the databases are: tenant to team. The fleet file alone does not show which tenants are new; the
program takes the placement from the accounts, `meltanodata check --base` from an older version of the file
(docs/decisions/who-is-new-to-a-team.md).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from meltanodata.config.object_names import (
    CLUSTER_NAME_LENGTH,
    cluster_name,
    names_of_no_tenant,
    objects_of,
    tenant_of_cluster,
)
from meltanodata.config.options import Options
from meltanodata.config.placement import (
    assignments,
    database_uses,
    droplet_use,
    first_free,
    is_missing_team,
    no_room,
    stated_teams,
)
from meltanodata.config.removals import renamed
from meltanodata.config.settings import file_of
from meltanodata.errors import Problem
from meltanodata.text import did_you_mean, listing, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meltanodata.config.fleet import Fleet, Row
    from meltanodata.config.settings import Settings


def problems(
    fleet: Fleet, stacks: Sequence[Settings], placement: Mapping[str, str] | None = None, before: Fleet | None = None
) -> list[Problem]:
    """Everything that is wrong with a fleet; its stacks are in the order in which their teams fill up.

    Moves and new tenants are judged where the placement is known, changes where there is an older version of the file.
    """
    violations = [
        *stacks_agree(stacks),
        *teams_stated(fleet, stacks, placement or {}),
        *teams_known(fleet, stacks),
        *teams_within_limits(fleet, stacks),
        *droplets_within_limit(fleet, stacks),
        *cluster_names_fit(fleet, stacks),
        *wiped_are_demos(fleet, before),
        *names_used_once(fleet, stacks),
        *names_are_tenants(fleet, stacks),
    ]
    if placement is not None:
        violations += [*full_teams_stay_full(fleet, stacks, placement), *teams_stay(fleet, placement)]
    if before is not None:
        old, new_names = before.options, renamed(fleet, before, stacks[0].domain)
        violations += numbers_go_up(fleet, old | {new: old[key] for new, key in new_names.items()})
    return sorted(violations)


def placement_before(fleet: Fleet, before: Fleet, domain: str) -> dict[str, str]:
    """The placement in an older version of the file, by the names that the tenants have now."""
    placement = stated_teams(before)
    return placement | {new: placement[old] for new, old in renamed(fleet, before, domain).items() if old in placement}


def has_unknown_options(row: Row) -> bool:
    """Whether an entry has options that do not exist."""
    return not row.places.keys() <= Options.model_fields.keys()


def stacks_agree(stacks: Sequence[Settings]) -> Iterator[Problem]:
    """A team belongs to one stack; the settings that tenants share are the same in all stacks of a fleet."""
    owners = defaultdict(list)
    for stack in stacks:
        for team in stack.database_teams:
            owners[team.name].append(stack.stack)
    for name, (first, *others) in owners.items():
        for other in others:
            message = f"the team {show(name)} already belongs to the stack {first}; list it in one of them"
            yield Problem(file_of(other), 0, 0, message)
    for stack in stacks[1:]:
        for setting in ("domain", "droplet_team", "tenants_file"):
            here, there = getattr(stack, setting), getattr(stacks[0], setting)
            if here != there:
                message = f"{setting} differs from that of the stack {stacks[0].stack} (here {here}, there {there})"
                yield Problem(file_of(stack.stack), 0, 0, f"{message}; stacks of one fleet share it")


def teams_stated(fleet: Fleet, stacks: Sequence[Settings], placement: Mapping[str, str]) -> Iterator[Problem]:
    """Every tenant states its team; the message says which one it has, or which one a new tenant would get.

    An entry with an unknown option is left out: it has its own problem, and the option may be the team, misspelt.
    """
    assigned = assignments(fleet, stacks)
    yield from teams_kept(fleet, placement)
    for row in fleet.rows:
        if row.key in assigned and row.key not in placement and not has_unknown_options(row):
            team = assigned[row.key]
            remedy = f"for a new tenant, meltanodata assign writes {show(team)}" if team else no_room(stacks)
            message = (
                "database_team is missing. If the tenant has a database already, write the team that it is in"
                f" (git log -p {fleet.file}); {remedy}"
            )
            yield fleet.problem(row, "database_team", message)


def teams_kept(fleet: Fleet, placement: Mapping[str, str]) -> Iterator[Problem]:
    """No tenant that has a database loses its team."""
    for row in fleet.rows:
        if is_missing_team(row) and (actual := placement.get(row.key)) is not None and not has_unknown_options(row):
            message = f"database_team is missing, and its database is in {show(actual)}; write database_team: {actual}"
            yield fleet.problem(row, "database_team", message)


def room_for_all(fleet: Fleet, stacks: Sequence[Settings]) -> Iterator[Problem]:
    """Every tenant without a team can get one."""
    assigned = assignments(fleet, stacks)
    for row in fleet.rows:
        if assigned.get(row.key, "") is None:
            yield fleet.problem(row, "database_team", no_room(stacks))


def teams_known(fleet: Fleet, stacks: Sequence[Settings]) -> Iterator[Problem]:
    """Every team stated is one that a stack of the fleet lists."""
    known = [team.name for stack in stacks for team in stack.database_teams]
    for row in fleet.rows:
        team = row.options.database_team
        if team is not None and team not in known:
            message = f"no stack has a database team {show(team)}.{did_you_mean(team, known)}"
            yield fleet.problem(row, "database_team", f"{message} The teams are: {listing(known, 'and')}")


def teams_within_limits(fleet: Fleet, stacks: Sequence[Settings]) -> Iterator[Problem]:
    """No team has more tenants than its limit of clusters; names those above it, in the file's order."""
    for use in database_uses(fleet, stacks):
        members = [row for row in fleet.rows if row.options.database_team == use.team]
        for row in members[use.limit :]:
            message = (
                f"{show(use.team)} has {use.used} tenants here and a limit of {use.limit}; place it in another team"
            )
            yield fleet.problem(row, "database_team", message)


def droplets_within_limit(fleet: Fleet, stacks: Sequence[Settings]) -> Iterator[Problem]:
    """The fleet has no more tenants than the droplet team's limit of droplets; names those above it."""
    use = droplet_use(fleet, stacks)
    for row in fleet.rows[use.limit :]:
        message = (
            f"the fleet has {use.used} tenants and the droplet team {show(use.team)} a limit of {use.limit};"
            " ask DigitalOcean to raise it, then set droplet_team.limit"
        )
        yield Problem(fleet.file, *row.place, f"{row.key}: {message}")


def cluster_names_fit(fleet: Fleet, stacks: Sequence[Settings]) -> Iterator[Problem]:
    """A tenant's name leaves room for the rest of its database cluster's; an adopted cluster has its name already."""
    regions = {team.name: stack.region for stack in stacks for team in stack.database_teams}
    for row in fleet.rows:
        adopt = row.options.adopt
        if adopt is not None and adopt.database is not None:
            continue
        region = row.options.region or regions.get(row.options.database_team or "", stacks[0].region)
        longest = CLUSTER_NAME_LENGTH - len(cluster_name(region, 10000, ""))
        if len(row.key) > longest:
            message = (
                f"the name has {len(row.key)} characters and in {region} at most {longest} fit, because its database"
                f" cluster is called db-postgresql-{region}-NNNNN-NAME and may have {CLUSTER_NAME_LENGTH}; shorten it"
            )
            yield Problem(fleet.file, *row.place, f"{row.key}: {message}")


def wiped_are_demos(fleet: Fleet, before: Fleet | None) -> Iterator[Problem]:
    """Only a database that was a demo's before is ever wiped, so that no single edit wipes a customer's."""
    demos = None if before is None else {row.key for row in before.rows if row.options.demo}
    for row in fleet.rows:
        if row.options.wipe_database is None or row.states_wrongly("demo"):
            continue
        if not row.options.demo:
            message = "wipe_database drops the data and is for demos only; remove it, or add demo: true if it is one"
            yield fleet.problem(row, "wipe_database", message)
        elif demos is not None and row.key not in demos:
            message = "wipe_database is only for a tenant that is a demo already; remove it and merge demo: true first"
            yield fleet.problem(row, "wipe_database", message)


def names_used_once(fleet: Fleet, stacks: Sequence[Settings]) -> Iterator[Problem]:
    """No droplet, record or cluster belongs to two tenants: one of them would adopt the other's."""
    owners: dict[tuple[str, str], str] = {}
    for row in fleet.rows:
        for kind, name in objects_of(row.key, row.options, stacks[0].domain):
            owners.setdefault((kind, name), row.key)
    for row in fleet.rows:
        for kind, name in objects_of(row.key, row.options, stacks[0].domain):
            found_by = tenant_of_cluster(name) if kind == "database" else None
            owner = owners.get((kind, found_by or ""), owners[kind, name])
            if owner != row.key:
                message = f"the {kind} {show(name)} belongs to {owner}; two tenants cannot share it"
                yield fleet.problem(row, "adopt", message)


def names_are_tenants(fleet: Fleet, stacks: Sequence[Settings]) -> Iterator[Problem]:
    """No tenant has the name of something that `no_tenants` lists, or takes it over by its `adopt`."""
    reserved = names_of_no_tenant(stacks)
    clusters = {tenant_of_cluster(name): name for name in sorted(reserved)}
    files = listing([file_of(stack.stack) for stack in stacks if stack.no_tenants], "or")
    remedy = (
        "A new tenant needs another name. If it is this tenant's and deployed already, keep the entry as it is and take"
        f" the name out of no_tenants in {files}"
    )
    for row in fleet.rows:
        adopt = row.options.adopt
        if row.key in reserved:
            message = f"the setting no_tenants lists {row.key}: it serves another purpose. {remedy}"
            yield Problem(fleet.file, *row.place, f"{row.key}: {message}")
        elif row.key in clusters and not (adopt and adopt.database):
            message = f"the setting no_tenants lists its database {clusters[row.key]}: it serves another purpose"
            yield Problem(fleet.file, *row.place, f"{row.key}: {message}. {remedy}")
        for kind in ("record", "droplet", "database") if adopt else ():
            if (name := getattr(adopt, kind)) in reserved:
                message = f"adopt: {kind} is {show(name)}, which the setting no_tenants lists for another purpose"
                yield fleet.problem(row, "adopt", f"{message}. {remedy}")


def full_teams_stay_full(fleet: Fleet, stacks: Sequence[Settings], placement: Mapping[str, str]) -> Iterator[Problem]:
    """A team marked full keeps its tenants and takes no other."""
    full = {team.name for stack in stacks for team in stack.database_teams if team.full}
    for row in fleet.rows:
        team = row.options.database_team
        if team in full and row.key not in placement:
            first = first_free(fleet, stacks)
            remedy = f"the first team with room is {show(first)}" if first else no_room(stacks)
            yield fleet.problem(row, "database_team", f"{show(team)} is marked full and takes no new tenant; {remedy}")


def teams_stay(fleet: Fleet, placement: Mapping[str, str]) -> Iterator[Problem]:
    """A database cannot move to another team: a new team would mean a new, empty database."""
    for row in fleet.rows:
        team, actual = row.options.database_team, placement.get(row.key)
        if team is not None and actual is not None and team != actual:
            message = (
                f"its database is in {show(actual)} and cannot move to {show(team)}; write database_team: {actual}"
            )
            yield fleet.problem(row, "database_team", message)


def numbers_go_up(fleet: Fleet, before: Mapping[str, Options]) -> Iterator[Problem]:
    """A smaller count is a change too, and DigitalOcean never takes back the upgrade of a cluster's major version."""
    effects = {
        "rebuild": ", which would make a new droplet again;",
        "admin_password_generation": ", which would change the admin password again;",
        "database_version": "; a cluster cannot be downgraded,",
    }
    for row in fleet.rows:
        old = before.get(row.key, row.options)
        for option, effect in effects.items():
            was, now = getattr(old, option), getattr(row.options, option)
            if None not in {was, now} and int(now) < int(was) and not row.states_wrongly(option):
                message = f"{option} goes down from {was} to {now}{effect} leave it at {was}"
                yield fleet.problem(row, option, message)
