"""``securechan-relay``: what the operator types.

    securechan-relay init --name relay-1 --url wss://relay.example.int     keys and a card for the federation
    securechan-relay adopt federation.json                                 the bundle that the federation published
    securechan-relay run                                                   serve; needs no configuration
    securechan-relay status | check-config | reload | drain | rotate | backup | restore | bench | man

Only what a command needs is loaded when it runs, so that help costs nothing. With ``--json`` stdout holds one object,
``{"v":1,"ok":true,"data":{…}}``, and errors go to stderr in the same form. Exit codes tell causes apart; see ``EXIT``.
"""

from __future__ import annotations

import json
import re
import sys
import time
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

PROGRAM: Final = "securechan-relay"
_USAGE: Final[Any] = typer.BadParameter.__bases__[0]  # the UsageError of whichever click typer has

EXIT: Final = {
    "Unreachable": 3,
    "Untrusted": 4,
    "Refused": 5,
    "CannotOpen": 6,
    "Denied": 7,
    "NotReady": 8,
    "NotFound": 9,
    "TimedOut": 10,
    "Malformed": 11,
    "Invalid": 11,
    "Unfit": 11,
    "Conflict": 12,
}

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Home = Annotated[
    Path | None,
    typer.Option("--home", help="The relay's folder; else SECURECHAN_RELAY_HOME, else the XDG state folder."),
]
Config = Annotated[Path | None, typer.Option("--config", help="A TOML file; else relay.toml in the relay's folder.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def say(as_json: bool, data: dict[str, Any], words: str) -> None:
    """The result, for scripts or for people."""
    sys.stdout.write((json.dumps({"v": 1, "ok": True, "data": data}) if as_json else words) + "\n")
    sys.stdout.flush()


def fail(error: Exception, as_json: bool) -> NoReturn:
    """Tell the error and leave with its exit code."""
    kinds = [kind.__name__ for kind in type(error).__mro__]
    exit_code = next((EXIT[kind] for kind in kinds if kind in EXIT), 1)
    message, hint, code = str(error), getattr(error, "hint", ""), getattr(error, "code", "internal")
    findings = [{"where": found.where, "what": found.what} for found in getattr(error, "findings", ())]
    if as_json:
        told: dict[str, Any] = {"code": code, "message": message, "hint": hint}
        if findings:
            told["findings"] = findings
        sys.stderr.write(json.dumps({"v": 1, "ok": False, "error": told}) + "\n")
    else:
        sys.stderr.write(f"error: {message}\n")
        for found in findings[1:]:
            sys.stderr.write(f"error: {found['where']}: {found['what']}\n")
        if hint:
            sys.stderr.write(f"hint: {hint}\n")
    sys.exit(exit_code)


def _show_version(wanted: bool) -> None:
    if wanted:
        from relay.vitals import installed

        sys.stdout.write(f"{PROGRAM} {installed()}\n")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Say which version.")
    ] = False,
) -> None:
    """A relay of a securechan federation: it forwards and stores ciphertext."""
    del version


@app.command()
def init(
    *,
    home: Home = None,
    name: Annotated[str, typer.Option("--name", help="The relay's name in the federation.")] = "relay",
    url: Annotated[str, typer.Option("--url", help="Where clients find it, wss://…")] = "",
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="The port to listen on.")] = 8765,
    as_json: Json = False,
) -> None:
    """Make a relay: its keys, relay.toml, its card.

    The card is what the federation's administrators need."""
    from relay import setup
    from relay.config import home_folder

    folder = home_folder(home)
    card = setup.init(folder, name=name, url=url, host=host, port=port)
    say(
        as_json,
        {"home": str(folder), "card": card},
        f"made       keys of {card['name']} in {folder}\n"
        f"card       {folder / 'card.json'}\n"
        f"next       give the card to the federation's administrator; then securechan-relay run",
    )


@app.command()
def adopt(
    bundle: Annotated[Path, typer.Argument(help="The bundle that securechan root publish wrote.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Serve the federation of this bundle.

    A running relay takes it up within a second."""
    from relay import setup
    from relay.config import home_folder

    adopted = setup.adopt(home_folder(home), bundle)
    say(as_json, adopted, f"adopted    federation {adopted['root'][:16]}…  relay {adopted['relay']}")


@app.command()
def run(
    home: Home = None,
    config: Config = None,
    host: Annotated[str | None, typer.Option("--host", help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option("--port", help="The port to listen on; 0 picks a free one.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="The relay's name in the federation.")] = None,
    workers: Annotated[
        int, typer.Option("--workers", help="Processes on this port, where the store can be shared (nats).")
    ] = 1,
) -> None:
    """Serve until SIGTERM. Prints `ready ws://HOST:PORT` once it listens."""
    from relay.signals import Early

    with Early() as early:
        from relay import process
        from relay.config import home_folder, load

        folder = home_folder(home)
        given = {"host": host, "port": port, "name": name}
        said = {key: value for key, value in given.items() if value is not None}
        process.start(
            folder,
            lambda: load(folder, config, said=said),
            lambda address: say(False, {}, f"ready {address}"),
            workers,
            early,
        )


@app.command()
def rotate(
    home: Home = None,
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Remove all KEM keys but the newest.")] = False,
    as_json: Json = False,
) -> None:
    """Renew the relay's key.

    Makes a new KEM key and card; once the federation has published that, --drop-old drops the old key. Before, the
    running relay refuses that: nobody could come in."""
    from relay import setup
    from relay.config import home_folder

    done = setup.rotate(home_folder(home), drop=drop_old)
    if drop_old:
        words = "".join(f"dropped    KEM {ident}\n" for ident in done["dropped"]) or "dropped    nothing\n"
    else:
        words = (
            f"made       KEM {done['card']['key_id']}\n"
            "next       have the new card published (securechan root add-relay), then: rotate --drop-old\n"
        )
    say(as_json, done, words.rstrip("\n"))


@app.command()
def status(home: Home = None, as_json: Json = False) -> None:
    """Who this relay is, whether it runs, and what it holds."""
    from relay import running
    from relay.config import home_folder

    told = running.status(home_folder(home))
    say(as_json, told, running.words(told))


@app.command("check-config")
def check_config(home: Home = None, config: Config = None, as_json: Json = False) -> None:
    """Show the settings that hold, or what is wrong.

    Reads the configuration as `run` would."""
    from relay import tls
    from relay.config import home_folder, load

    folder = home_folder(home)
    if not folder.is_dir() and (home is not None or config is None):
        from securechan.errors import NotFound

        raise NotFound(f"there is no relay's folder {folder}", hint="make one with: securechan-relay init")
    settings = load(folder, config)
    if settings.tls is not None:
        tls.context(settings.tls)
        if words := tls.warning(tls.expires(settings.tls), int(time.time())):
            sys.stderr.write(f"warn: {words}\n")
    data = settings.model_dump(mode="json")
    say(as_json, data, "\n".join(f"{key:14} {value}" for key, value in _flat(data)))


@app.command()
def reload(home: Home = None, as_json: Json = False) -> None:
    """Have the running relay read its settings again.

    As SIGHUP does: limits, quotas, certificate, log level."""
    from relay import running
    from relay.config import home_folder

    told = running.reload(home_folder(home))
    words = "reloaded   sessions go on, with the limits that they were told"
    if told["configuration"]["waits"]:
        words += f"\nwarn       {running.waits(told)}"
    say(as_json, told, words)


@app.command()
def drain(
    home: Home = None,
    wait: Annotated[float, typer.Option("--wait", help="Seconds to wait for its end.")] = 60.0,
    as_json: Json = False,
) -> None:
    """End the running relay in good order.

    As SIGTERM does: it finishes what it accepted, and says bye to everyone."""
    from relay import running
    from relay.config import home_folder

    done = running.drain(home_folder(home), wait)
    sessions = "1 session" if done["sessions"] == 1 else f"{done['sessions']} sessions"
    say(as_json, done, f"drained    {sessions}; everything acknowledged is on the disk")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it will hold the relay's keys.")],
    home: Home = None,
    move: Annotated[bool, typer.Option("--move", help="It goes on elsewhere, and here no more.")] = False,
    as_json: Json = False,
) -> None:
    """Write the relay into one file, while it runs or rests."""
    from relay import backup as keeping
    from relay.config import home_folder

    done = keeping.backup(home_folder(home), file, move=move)
    words = f"written    {done['file']}  {done['size']} bytes; it holds the relay's keys"
    say(
        as_json,
        done,
        words + ("\nmoved      this folder starts no relay again: restore the file elsewhere" if move else ""),
    )


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What backup wrote, or the folder of a mirror.")],
    home: Home = None,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Though the relay may have acknowledged entries after this.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put a backup or a mirror into an empty folder.

    A mirror has all that was acknowledged, a backup what there was then."""
    from relay import backup as keeping
    from relay import mirror
    from relay.config import home_folder

    folder = home_folder(home)
    done = mirror.restore(file, folder) if file.is_dir() else keeping.restore(file, folder, accept_loss=accept_loss)
    words = f"restored   relay {done['relay']} in {done['home']}"
    if done["lost"]:
        words += "\nwarn       members that have read what came after it raise alarms: tell the agencies"
    say(as_json, done, words)


@app.command()
def bench(
    home: Home = None,
    seconds: Annotated[float, typer.Option("--seconds", help="How long each is measured.", min=0.0, max=60.0)] = 1.0,
    as_json: Json = False,
) -> None:
    """Measure this machine: disk, store, handshakes, records.

    In a folder of its own beside the relay's data, which it leaves alone."""
    from relay import bench as measuring
    from relay.config import home_folder

    told = measuring.bench(home_folder(home), seconds)
    say(as_json, told, measuring.words(told))


@app.command()
def man() -> None:
    """Write the manual page: securechan-relay man | man -l -"""
    from relay.config import described
    from relay.vitals import installed
    from securechan.manual import page

    causes: dict[int, list[str]] = {0: ["ok"], 1: ["internal"], 2: ["usage"], 130: ["interrupted"]}
    for kind, code in EXIT.items():
        causes.setdefault(code, []).append(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower())
    sections = [
        ("settings of relay.toml", described()),
        (
            "environment",
            [
                ("SECURECHAN_RELAY_HOME", "The relay's folder."),
                (
                    "SECURECHAN_RELAY_…",
                    "A setting of relay.toml: SECURECHAN_RELAY_PORT, SECURECHAN_RELAY_QUOTAS__IDLE.",
                ),
            ],
        ),
        ("exit status", [(str(code), ", ".join(words)) for code, words in sorted(causes.items())]),
    ]
    sys.stdout.write(page(typer.main.get_command(app), "securechan-relay", installed(), sections))


def _flat(data: dict[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    for key, value in data.items():
        if isinstance(value, dict):
            pairs += _flat(value, f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", "-" if value is None else value))
    return pairs


def usage(error: Any, as_json: bool) -> NoReturn:
    """A command line that can't be understood."""
    context = getattr(error, "ctx", None)
    message = " ".join(error.format_message().split()).replace("Input should be a valid integer, unable", "unable")
    unknown = re.match(r"No such command '(.*?)'", message)
    near = get_close_matches(unknown[1], context.command.list_commands(context), 1, 0.75) if unknown and context else ()
    message = (unknown[0] if unknown else message).removesuffix(".")
    hint = f"{PROGRAM if context is None else context.command_path} --help"
    told = {
        "code": "usage",
        "message": message[:1].lower() + message[1:],
        "hint": f"did you mean {near[0]}? {hint} shows what there is" if near else hint,
    }
    if as_json:
        sys.stderr.write(json.dumps({"v": 1, "ok": False, "error": told}) + "\n")
    else:
        sys.stderr.write(f"error: {told['message']}\nhint: {told['hint']}\n")
    sys.exit(2)


def main() -> None:
    """The program. Exits with a code that names the cause."""
    as_json = "--json" in sys.argv[1:]
    try:
        code = app(args=sys.argv[1:] or ["--help"], prog_name=PROGRAM, standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except _USAGE as error:
        usage(error, as_json)
    except Exception as error:  # the last place where an error can be told
        from securechan.errors import NotReady, SecurechanError

        if isinstance(error, OSError) and error.filename is not None:
            fail(
                NotReady(
                    f"{error.filename}: {error.strerror}", hint="check the path, and who may use it", code="unusable"
                ),
                as_json,
            )
        if not isinstance(error, SecurechanError) and not as_json:
            raise
        fail(error, as_json)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
