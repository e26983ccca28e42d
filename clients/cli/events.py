"""An event as a line for people. Everything in it that others wrote has been made harmless."""

from __future__ import annotations

from typing import Any, Final

from clients.render import duration, safe, size, stranger

_OURS: Final = frozenset({"event", "at", "time", "sent", "ack_by", "valid_until"})
_LONG: Final = frozenset({"header", "signature", "content"})
_REVOKED: Final = {
    "revoked": "was revoked by its agency",
    "lost": "was revoked by its agency (lost)",
    "left": "was revoked by its agency (its officer has left)",
    "rotated": "goes on with another key than it has here",
    "expired": "was admitted until now",
    "agency-left": "is of an agency that the federation has removed",
}
OF_THE_LINE: Final = frozenset({"watching", "relay-up", "relay-down"})
"""Events of our own connection: the addresses in them are our relay's, to be copied and not to be defanged."""


def line(event: dict[str, Any]) -> str:
    """One event, one line (texts of several lines are indented)."""
    if event["event"] in OF_THE_LINE:
        event = {name: safe(value) if isinstance(value, str) else value for name, value in event.items()}
    else:
        event = {name: _harmless(name, value) for name, value in event.items() if name not in _LONG}
    time = event.get("time") or event.get("at") or ""
    words = f"{'unread  ' if event.get('unread') is True else ''}{_words(event)}"
    return f"{time}  {words}" if time else words


def _harmless(name: str, value: Any) -> Any:
    """Whatever others wrote, wherever in an event it stands."""
    match value:
        case str():
            return value if name in _OURS else stranger(value, lines=name == "body")
        case list():
            return [_harmless(name, each) for each in value]
        case _:
            return value


def _words(event: dict[str, Any]) -> str:
    where = f"[{event['name']}] " if event.get("name") else ""
    match event["event"]:
        case "message-received":
            mark = "  !! its sender saw another history" if event["marked"] else ""
            return f"{where}{_who(event)}  {event['tlp']}{_reached(event)}{mark}\n{_indented(_text(event))}"
        case "message-reached":
            return f"{where}{event['kind']}  message {event['payload'][:8]}  {event['officer']} on {event['device']}"
        case "message-dropped":
            return f"not sent: {event['reason']}\n{_indented(event['body'])}"
        case "bulletin-received":
            what = f"{event['bulletin']} rev {event['revision']}"
            said = [f"{where}bulletin {what}", event["issuer"], f"tlp:{event['tlp']}", event["title"]]
            said += ["EXERCISE"] if event["exercise"] else []
            said += ["withdrawn"] if event["status"] == "withdrawn" else []
            said += [f"acknowledge by {event['ack_by']}"] if event.get("ack_by") and not event["own"] else []
            return "  ".join(said)
        case "bulletin-refused":
            return f"refused a bulletin {event['bulletin']} of {event['device']}: {event['reason']}"
        case "receipt-received":
            return f"{event['kind']}  {event['bulletin']} rev {event['revision']}  {event['officer']}"
        case "member-added":
            return f"{where}{event['officer']} entered with {event['device']}, let in by {event['by']}"
        case "member-revoked":
            why = _REVOKED.get(event["reason"], event["reason"])
            who = f"{event['device']} of {event['officer']}"
            return f"{where}{who} {why}: it is being removed, and nothing is sent here until it is out"
        case "member-removed":
            return f"{where}{event['device']} of {event['officer']} was removed by {event['by']}"
        case "device-announced":
            agreed = "" if event["agrees"] else "  !! trust records say otherwise"
            approvers = ", ".join(event["approvers"])
            return f"new device {event['device']} of {event['officer']}, approved by {approvers}{agreed}"
        case "device-waiting":
            return (
                f"{event['device']} of {event['officer']} waits for a word:"
                f" securechan verify confirm --device {event['device']}"
            )
        case "conversation-offered":
            what = f"{event['by']} offers a conversation called {event['name']}"
            return f"{what}: securechan conversation accept {event['conversation'][:12]}"
        case "conversation-joined":
            return f"{where}joined, epoch {event['epoch']}, let in by {event['by']}"
        case "conversation-left":
            return f"removed from a conversation by {event['by']}"
        case "alarm":
            return f"ALARM {event['kind']}  {event['who']}  entry {event['entry']}: {event['text']}"
        case "frozen" | "held":
            return f"{event['event']}: {event['reason']}"
        case "watching":
            return f"watching as {event['device']}; Ctrl-C ends it"
        case "relay-up":
            warning = f"  warning: {event['warning']}" if event["warning"] else ""
            return f"connected to {event['relay']}{warning}"
        case "relay-down":
            return f"not connected: {event['message']}; {_again(event['retry_in'])}"
        case "roster-renewed":
            return f"renewed the roster of {event['agency']}: version {event['roster']}"
        case "roster-kept-back":
            return f"the roster could not be renewed: {event['message']}"
        case "attachment-fetched":
            return f"fetched {event['attachment']}"
        case "consent-asked":
            why = f": {event['reason']}" if event["reason"] else ""
            asked = f"{event['officer']} asks to forward {event['bulletin']} to {event['name']}"
            return f"{asked} ({safe(', '.join(event['agencies']))}){why}  answer: securechan bulletin consents"
        case "opaque-received":
            return f"{event['officer']} has sent a letter ({event['kind']}): securechan admin pending"
        case kind:
            rest = "  ".join(
                f"{name} {value}" for name, value in event.items() if name not in ("event", "conversation", "at")
            )
            return f"{kind}  {rest}"


def _again(seconds: float | None) -> str:
    if seconds is None:
        return "it is not tried again"
    return "trying again" if seconds < 2 else f"next try in {duration(seconds)}"


def _who(event: dict[str, Any]) -> str:
    return "you" if event["own"] else str(event["officer"])


def _reached(event: dict[str, Any]) -> str:
    """Who has a message of ours, as far as they said so: who has read it has received it."""
    said = event.get("reached") or {}
    read = said.get("read", [])
    delivered = [each for each in said.get("delivered", []) if each not in read]
    words = [f"read by {', '.join(map(safe, read))}"] if read else []
    words += [f"delivered to {', '.join(map(safe, delivered))}"] if delivered else []
    return "".join(f"  {each}" for each in words)


def _text(event: dict[str, Any]) -> str:
    text = str(event["body"])
    if event.get("attachment"):
        name = f"{event['attachment']} ({size(event['size'])})  fetch: securechan read --fetch {event['payload']}"
        text = f"{name}\n{text}" if text else name
    return text


def _indented(text: str) -> str:
    return "\n".join(f"    {part}" for part in text.split("\n"))
