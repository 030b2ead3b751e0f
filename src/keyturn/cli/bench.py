"""`keyturn bench`: figures beside their floors."""

import click

from keyturn.cli.output import Output, json_option


@click.command("bench", short_help="Measure, each figure beside a floor in the same run.")
@click.option("--rounds", type=click.IntRange(1, 1000), default=12, show_default=True, help="Turns each task takes.")
@click.option(
    "--postgresql",
    "postgresql_url",
    envvar="KEYTURN_BENCH_POSTGRESQL",
    default="",
    metavar="URL",
    help="An empty PostgreSQL database to measure on as well.  A password in it belongs into the environment:"
    " KEYTURN_BENCH_POSTGRESQL.",
)
@click.argument("only", metavar="[WORD]", default="")
@json_option
def command(*, rounds: int, postgresql_url: str, only: str, as_json: bool) -> None:
    """Measure, each figure beside a floor in the same run.

    With a WORD only the groups whose name holds it: `fleet`, `verify`, `database`, `dashboard`, `memory`, `start`.
    `topology` is not measured but simulated: fleets that no test machine can hold.

    Ours and the floor take turns and medians are told, so a ratio holds also on a shared machine.  HTTP is measured
    where wrk and nginx are installed.  It takes some minutes; servers listen on the loopback only, data lies in
    temporary folders.
    """
    from keyturn.bench import suite
    from keyturn.bench.figure import table

    out = Output(as_json=as_json)
    if only == "topology":
        _simulate(out, as_json=as_json)
        return
    figures = suite.run(rounds=rounds, postgresql_url=postgresql_url, only=only, say=out.say)
    if as_json:
        out.document([one.to_plain() for one in figures])
    else:
        out.line(table(figures))


def _simulate(out: Output, *, as_json: bool) -> None:
    from dataclasses import asdict

    from keyturn.bench import topology

    outcomes = topology.outcomes()
    if as_json:
        out.document([asdict(one) for one in outcomes])
    else:
        out.line(topology.table(outcomes))
