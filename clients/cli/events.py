"""An event as a line for people. Everything in it that others wrote has been made harmless."""

from __future__ import annotations

from typing import Any

from clients.render import safe, size, stranger


def line(event: dict[str, Any]) -> str:
    """One event, one line (texts of several lines are indented)."""
    time = event.get("time") or event.get("at") or ""
    words = _words(event)
    return f"{time}  {words}" if time else words


def _words(event: dict[str, Any]) -> str:
    where = f"[{safe(event['name'])}] " if event.get("name") else ""
    match event["event"]:
        case "message-received":
            mark = "  !! its sender saw another history" if event["marked"] else ""
            return f"{where}{_who(event)}  {event['tlp']}{mark}\n{_indented(_text(event))}"
        case "message-dropped":
            return f"not sent: {safe(event['reason'])}\n{_indented(stranger(event['body'], lines=True))}"
        case "bulletin-received":
            what = f"{event['bulletin']} rev {event['revision']}"
            said = [f"{where}bulletin {what}", event["issuer"], f"tlp:{event['tlp']}", stranger(event["title"])]
            said += ["EXERCISE"] if event["exercise"] else []
            said += ["withdrawn"] if event["status"] == "withdrawn" else []
            said += [f"acknowledge by {event['ack_by']}"] if event.get("ack_by") and not event["own"] else []
            return "  ".join(said)
        case "bulletin-refused":
            return f"refused a bulletin {safe(event['bulletin'])} of {safe(event['device'])}: {safe(event['reason'])}"
        case "receipt-received":
            return f"{event['kind']}  {event['bulletin']} rev {event['revision']}  {safe(event['officer'])}"
        case "member-added":
            return (
                f"{where}{safe(event['officer'])} entered with {safe(event['device'])}, let in by {safe(event['by'])}"
            )
        case "member-removed":
            return f"{where}{safe(event['device'])} of {safe(event['officer'])} was removed by {safe(event['by'])}"
        case "device-announced":
            agreed = "" if event["agrees"] else "  !! trust records say otherwise"
            approvers = ", ".join(map(safe, event["approvers"]))
            return f"new device {safe(event['device'])} of {safe(event['officer'])}, approved by {approvers}{agreed}"
        case "device-waiting":
            return (
                f"{safe(event['device'])} of {safe(event['officer'])} waits for a word:"
                f" securechan verify confirm --device {safe(event['device'])}"
            )
        case "conversation-offered":
            by = safe(event["by"])
            return f"{by} offers a conversation called {safe(event['name'])}: securechan conversation accept {by}"
        case "conversation-joined":
            return f"{where}joined, epoch {event['epoch']}, let in by {safe(event['by'])}"
        case "conversation-left":
            return f"removed from a conversation by {safe(event['by'])}"
        case "alarm":
            return f"ALARM {event['kind']}  {safe(event['who'])}  entry {event['entry']}: {stranger(event['text'])}"
        case "frozen" | "held":
            return f"{event['event']}: {safe(event['reason'])}"
        case "attachment-fetched":
            return f"fetched {safe(event['attachment'])}"
        case kind:
            rest = "  ".join(
                f"{name} {stranger(str(value))}"
                for name, value in event.items()
                if name not in ("event", "conversation", "at")
            )
            return f"{kind}  {rest}"


def _who(event: dict[str, Any]) -> str:
    return "you" if event["own"] else safe(event["officer"])


def _text(event: dict[str, Any]) -> str:
    text = stranger(event["body"], lines=True)
    if event.get("attachment"):
        name = f"{safe(event['attachment'])} ({size(event['size'])})  fetch: securechan read --fetch {event['payload']}"
        text = f"{name}\n{text}" if text else name
    return text


def _indented(text: str) -> str:
    return "\n".join(f"    {part}" for part in text.split("\n"))
