"""``securechan conversation``: list, found, accept, leave, and who belongs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from clients.cli.doing import do, seconds
from clients.cli.frame import group, here
from clients.render import count, safe, table

app = group(
    "List, found, accept, leave conversations.",
    examples="""
Examples:
  securechan conversation create eu-csirts --agency cert-hr --agency cert-si --tlp amber
  securechan conversation accept eu-csirts
  securechan conversation accept eu-csirts --offer 5be1…
  securechan conversation policy eu-csirts --add cert-ee
""",
)

Conversation = Annotated[str, typer.Argument(help="Its name, or the beginning of its id.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")]


@app.command()
def ls() -> None:
    """Conversations, and those offered to you."""
    data = do("conversation.ls", online=False)
    here().show(data, lambda: _listed(data))


def _listed(data: dict[str, Any]) -> str:
    rows = [
        (
            safe(each["name"]),
            each["kind"],
            _state(each),
            str(each["members"]),
            str(each["epoch"]),
            str(each["unread"]),
            each["id"][:12],
        )
        for each in data["conversations"]
    ]
    lines = [table(rows, head=("name", "kind", "state", "devices", "epoch", "unread", "id"))] if rows else []
    for offer in data["offers"]:
        by = f"{safe(offer['name'])} by {safe(offer['by'])}"
        lines.append(f"offered: {by}: securechan conversation accept {offer['id'][:12]}")
        lines += [f"         {each}" for each in _judged(offer["policy"])]
    return "\n".join(lines) or "none yet: securechan conversation create, or send to an officer"


def _state(each: dict[str, Any]) -> str:
    extra = [f"held: {each['held']}"] if each["held"] else []
    if each["stale_since"]:
        extra.append(f"silent since {each['stale_since']}")
    if each["queued"]:
        extra.append(f"{each['queued']} to send")
    return ", ".join([each["state"], *extra])


def _judged(policy: dict[str, Any] | None) -> list[str]:
    """What is to be known of a conversation before one joins it, in lines."""
    if policy is None:
        return ["it can't be opened any more: decline it, and ask for another invitation"]
    return [f"{policy['kind']}, at most tlp:{policy['ceiling']}", *_belongs(policy)]


def _belongs(policy: dict[str, Any]) -> list[str]:
    who = policy["officers"] or [
        agency + (f" ({', '.join(roles)})" if roles else "") for agency, roles in policy["agencies"].items()
    ]
    return [f"belongs    {', '.join(map(safe, who))}", f"stewards   {', '.join(map(safe, policy['stewards']))}"]


@app.command()
def show(conversation: Conversation) -> None:
    """One conversation: its devices, its policy, its keys."""
    data = do("conversation.show", online=False, conversation=conversation)
    here().show(data, lambda: _shown(data))


def _shown(data: dict[str, Any]) -> str:
    lines = [
        f"name       {safe(data['name'])}   id {data['id']}",
        f"state      {_state(data)}   {data['kind']}, at most tlp:{data['ceiling']}",
        f"keys       {data['suite']}, epoch {data['epoch']}, authenticator {data['authenticator'][:24]}",
    ]
    if data["policy"] is not None:
        lines += _belongs(data["policy"])
    lines += [
        f"waiting    {safe(device)}: securechan verify confirm --device {safe(device)}" for device in data["waiting"]
    ]
    rows = [
        (safe(each["device"]), safe(each["officer"]), "this device" if each["own"] else "") for each in data["devices"]
    ]
    return "\n".join([*lines, table(rows, head=("device", "officer", ""))])


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is called, for everyone in it.")],
    agency: Annotated[
        list[str] | None, typer.Option("--agency", help="An agency that belongs: cert-hr, or cert-hr:desk,liaison.")
    ] = None,
    officer: Annotated[
        list[str] | None, typer.Option("--with", help="An officer who belongs; then nobody else does.")
    ] = None,
    steward: Annotated[
        list[str] | None, typer.Option("--steward", help="An officer who may change the policy; of two agencies.")
    ] = None,
    room: Annotated[bool, typer.Option("--room", help="A room of your own agency.")] = False,
    tlp: Annotated[str | None, typer.Option("--tlp", help="The strictest label it is meant for.")] = None,
    renewal: Annotated[str | None, typer.Option("--renewal", help="How often each member renews its keys: 7d.")] = None,
) -> None:
    """Found a conversation. Members are found by its policy: agencies and roles, or officers by name."""
    if agency and officer:
        raise typer.BadParameter("a conversation is of agencies or of officers, not both", param_hint="--with")
    if not (agency or officer or room):
        raise typer.BadParameter("say who belongs: --agency, --with or --room", param_hint="--agency")
    kind = "direct" if officer else "room" if room else "community"
    data = do(
        "conversation.create",
        name=name,
        kind=kind,
        agencies=agency or [],
        officers=officer or [],
        stewards=steward or [],
        ceiling=tlp,
        renewal=seconds(renewal, "--renewal"),
    )
    here().emit(
        data,
        f"founded  {safe(data['name'])}  id {data['id'][:12]}  {data['kind']}, at most tlp:{data['ceiling']},"
        f" {count(data['members'], 'device')} in it\n"
        f"stewards {', '.join(map(safe, data['policy']['stewards']))}",
    )


@app.command()
def accept(
    conversation: Annotated[str, typer.Argument(help="Its name, the beginning of its id, or who offers it.")],
    name: Annotated[str | None, typer.Option("--as", help="What to call it here.")] = None,
    offer: Annotated[
        str | None,
        typer.Option("--offer", help="Join it only if it is the `offer` that conversation ls --json showed."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    timeout: Timeout = 60.0,
) -> None:
    """Join a conversation that was offered to you.

    At a terminal it shows who belongs to it, and asks. What is joined is what was shown: where the inviter
    puts another invitation in its place meanwhile, nothing is."""
    me = here()
    if offer == "":
        raise typer.BadParameter("an offer is 64 hexadecimal digits", param_hint="--offer")
    if me.interactive and not yes and offer is None:
        shown = do("conversation.offered", conversation=conversation, timeout=timeout)
        if shown["waiting"]:
            about = [
                f"{safe(shown['name'])} by {safe(shown['by'])} ({safe(shown['device'])})",
                *_judged(shown["policy"]),
            ]
            me.confirm("\n".join([*about, "join it?"]), yes=False)
            offer = shown["offer"]
    data = do("conversation.accept", conversation=conversation, name=name, offer=offer, timeout=timeout)
    words = f"joined  {safe(data['name'])}  epoch {data['epoch']}, {count(data['members'], 'device')}"
    me.emit(data, "\n".join([words, *_judged(data["policy"])]) if data.get("policy") else words)


@app.command()
def decline(
    conversation: Annotated[str, typer.Argument(help="Its name, the beginning of its id, or who offers it.")],
) -> None:
    """Forget an offer."""
    data = do("conversation.decline", online=False, conversation=conversation)
    here().emit(data, f"declined  {data['id'][:12]}")


@app.command()
def leave(
    conversation: Conversation,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    timeout: Timeout = 60.0,
) -> None:
    """Ask to be removed; another member does it."""
    me = here()
    me.confirm(f"leave {conversation}?", yes)
    data = do("conversation.leave", conversation=conversation, timeout=timeout)
    me.emit(data, f"asked to be removed from {safe(data['name'])}")


@app.command()
def succeed(
    conversation: Conversation,
    reason: Annotated[str, typer.Option("--reason", help="Why: every member is told.")],
    without: Annotated[list[str] | None, typer.Option("--without", help="A device (agency/name) to leave out.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    timeout: Timeout = 60.0,
) -> None:
    """Found the group that takes its place: a last resort.

    For a conversation that can't go on where it is. Its stewards alone may; the others join
    unasked, and see who was left out and why."""
    me = here()
    me.confirm(f"let {conversation} go on in another group?", yes)
    data = do("conversation.succeed", conversation=conversation, reason=reason, without=without, timeout=timeout)
    me.emit(data, f"goes on  {safe(data['name'])}  {data['id'][:16]}")


@app.command()
def rename(conversation: Conversation, name: Annotated[str, typer.Argument(help="The new name, here alone.")]) -> None:
    """Call a conversation by another name on this device."""
    data = do("conversation.rename", online=False, conversation=conversation, name=name)
    here().emit(data, f"called  {safe(data['name'])}")


@app.command()
def policy(
    conversation: Conversation,
    add: Annotated[list[str] | None, typer.Option("--add", help="An agency (with :roles) or an officer.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="An agency or an officer.")] = None,
    steward: Annotated[list[str] | None, typer.Option("--steward", help="The stewards from now on.")] = None,
    tlp: Annotated[str | None, typer.Option("--tlp", help="The strictest label it is meant for.")] = None,
    timeout: Timeout = 60.0,
) -> None:
    """Show who belongs; stewards change it."""
    changes = bool(add or remove or steward or tlp)
    data = do(
        "conversation.policy",
        online=changes,
        conversation=conversation,
        add=add or [],
        remove=remove or [],
        stewards=steward or [],
        ceiling=tlp,
        timeout=timeout,
    )
    said = data["policy"]
    who = said["officers"] or list(said["agencies"])
    words = f"{'changed' if data['changed'] else 'policy'}  {safe(data['name'])}: {', '.join(map(safe, who))}"
    here().emit(data, f"{words}; stewards {', '.join(map(safe, said['stewards']))}; at most tlp:{said['ceiling']}")


@app.command()
def resume(conversation: Conversation, yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False) -> None:
    """Go on with a conversation that is held because of an alarm."""
    me = here()
    me.confirm(f"go on with {conversation}, in spite of the alarm?", yes)
    data = do("conversation.resume", conversation=conversation)
    me.emit(data, f"resumed  {safe(data['name'])}")
