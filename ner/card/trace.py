"""The card's last sections: the gate's verdict, the public card beside it, and how to trace and reproduce the model."""

from typing import Any

from ner.card.facts import PUBLIC_CARD, PUBLIC_EPOCHS, PUBLIC_NAME, CardFacts, known, short_name
from ner.card.markdown import between, code, get, number, parse, parse_float, plain, table, text
from ner.card.overview import OPENING, f1_interval

PUBLIC_RECIPE = {
    "Encoder": "distilbert-base-uncased",
    "Context": "each sentence alone",
    "Epochs": "3",
    "Learning rate": "2e-05",
    "Batch size": "16 sentences",
}
TRACED = (
    "data/prepared", "models/base", "models/ner", "reports/predictions", "reports/metrics.json", "models/release",
)  # fmt: skip

ELSEWHERE = (
    "What is another each time a model is trained, its commit, ids, time, machine and versions, is in MLflow: in the "
    "run of the training, on the model's version, and in the run's own copy of this card."
)


def verdict(facts: CardFacts) -> str:
    """Return every rule of the gate with its threshold, value and reason."""
    word = "Passed" if facts.gate["passed"] else "**Failed**"
    head = f"{word}, judged on {text(facts.gate['split'])}, by {text(facts.gate['mode'])}."
    rows = [
        [
            code(rule["rule"]),
            _value(rule.get("threshold")),
            _value(rule.get("value")),
            "passed" if rule["passed"] else "**failed**",
            text(rule["reason"]),
        ]
        for rule in facts.gate["rules"]
    ]
    if not rows:
        return f"{head} No rule was set."
    return f"{head}\n\n{table(['Rule', 'Threshold', 'Value', 'Verdict', 'Reason'], rows, 'lrrll')}"


def beside_public(facts: CardFacts) -> str:
    """Return our scores beside those of the public card, where the corpus is the same."""
    quoted = f"the public card of {code(PUBLIC_NAME)}"
    if not facts.is_public_corpus:
        return (
            f"Scores like those of {quoted} are of another corpus; beside this model's, of "
            f"{text(short_name(facts.manifest['source']))}, they would say nothing."
        )
    ours = facts.metrics["validation"]
    before = get(ours, "calibration", "loss_before")
    rows = [
        [title, number(ours.get(name)), between(get(ours, "interval", name)), number(PUBLIC_CARD[name])]
        for name, title in OPENING.items()
    ]
    if before is not None:  # the public card knows no calibration
        rows[0] = ["Loss, before calibration", number(before), between(None), number(PUBLIC_CARD["loss"])]
    head = ["Validation", "This model", f"{facts.confidence} interval", "Public card"]
    return (
        f"The column on the right is quoted from {quoted}: another training, its own evaluation; nothing of it was "
        f"measured here. {standing(facts)} Losses may be averaged in another way.\n\n"
        f"{table(head, rows, 'lrrr')}\n\nHow the two were made:\n\n"
        f"{table(['', 'This model', 'Public card'], recipes(facts))}"
        f"{epochs_beside(facts)}"
    )


def standing(facts: CardFacts) -> str:
    """Return where the public F1 lies in our interval; nothing where there is no interval."""
    interval = f1_interval(facts.metrics["validation"])
    if not interval:
        return ""
    low, high = interval
    theirs = PUBLIC_CARD["f1"]
    place = "below" if theirs < low else "above" if theirs > high else "inside"
    return f"Its F1 lies {place} the interval of this model's."


def recipes(facts: CardFacts) -> list[list[str]]:
    """Return how the two training recipes differ."""
    context = {"document": "sentences with their neighbours", "sentence": "each sentence alone"}
    batch, units = facts.param("train.batch_size"), facts.param("train.batch_by")
    if units != "subwords":
        units = "sentences" if facts.context == "sentence" else "windows"
    ours = {
        "Encoder": text(short_name(known(facts.training["base"], "name"))),
        "Context": context.get(facts.context or "", "unknown"),
        "Epochs": _value(facts.param("train.epochs")),
        "Learning rate": plain(facts.param("train.learning_rate")),
        "Batch size": f"{number(batch)} {units}",
    }
    return [[name, ours[name], theirs] for name, theirs in PUBLIC_RECIPE.items()]


def epochs_beside(facts: CardFacts) -> str:
    """Return both training histories, a row per epoch."""
    ours = {parse(row.get("epoch")): row for row in facts.history}
    theirs = {row["epoch"]: row for row in PUBLIC_EPOCHS}
    numbers = sorted({epoch for epoch in [*ours, *theirs] if epoch is not None})
    rows = [
        [f"{epoch:g}"]
        + [
            number(parse_float(row.get(epoch, {}).get(name)))
            for name in ("f1", "validation_loss")
            for row in (ours, theirs)
        ]
        for epoch in numbers
    ]
    head = ["Epoch", "F1, this model", "F1, public card", "Validation loss, this model", "Validation loss, public card"]
    return f"\n\nEpoch by epoch, on validation:\n\n{table(head, rows)}" if ours else ""


def reproduction(facts: CardFacts) -> str:
    """Return the commands that reproduce the model, and what must come out."""
    commit, version = plain(facts.measured.get("git_commit")), facts.registration.get("version")
    name = f"{facts.model}/{version}" if version else f"{facts.model}@challenger"
    commands = {
        "make train": "all stages; in an environment that is there: dvc repro",
        f"ner reproduce {name}": "names the commit, and the parameters that differed, if any",
    }
    width = max(map(len, commands))
    lines = [f"git checkout {commit}"] if commit != "unknown" else []
    lines += [f"{command.ljust(width)}   # {what}" for command, what in commands.items()]
    shown = "\n".join(lines)
    dirty = {
        True: "The working tree had changes that the commit has not: the commit alone may not give this model. ",
        None: "There was no git repository where it was trained, so no commit can be named. ",
    }.get(facts.measured.get("git_dirty"), "The working tree was clean. ")
    dirty = dirty if facts.measured else ""
    seed = facts.param("train.seed")
    same = f"With seed {seed}, the" if seed is not None else "The"
    return (
        f"```bash\n{shown}\n```\n\n{dirty}{same} same machine and versions give the same weights, byte for byte; "
        f"other hardware gives scores that differ a little. The data must have the fingerprint "
        f"{code(facts.manifest['fingerprint'])}."
    )


def trace(facts: CardFacts) -> str:
    """Return identifiers of everything that this model came from."""
    base, run, registration = facts.training["base"], facts.measured, facts.registration
    words: dict[bool | None, str] = {True: "yes", False: "no"}
    dirty = words.get(run.get("git_dirty"), "unknown")
    content = registration.get("content") or facts.content
    run_id = registration.get("mlflow_run_id") or run.get("mlflow_run_id")
    version = f"{text(facts.model)} {registration['version']}" if registration.get("version") else ""
    encoder = f"{text(short_name(known(base, 'name')))} from {text(short_name(known(base, 'origin')))}"
    rows = [
        ["Model version", version],
        ["Content (files and serving code)", f"{code(content)}, tag `content` of the version" if content else ""],
        ["MLflow run", code(run_id) if run_id else ""],
        ["Prefect flow run", code(run["flow_run_id"]) if run.get("flow_run_id") else ""],
        ["Git commit of the training", f"{code(run['git_commit'])} (uncommitted changes: {dirty})" if run else ""],
        ["Trained", text(run["started"]) if run.get("started") else ""],
        ["Data fingerprint", code(facts.manifest["fingerprint"])],
        ["Encoder", f"{encoder}, weights sha256 {code(known(base, 'sha256'))}"],
        *([f"md5 of {code(path)} (`dvc.lock`)", code(facts.lock[path])] for path in TRACED if path in facts.lock),
    ]
    left = len(set(facts.lock) - set(TRACED))
    more = f"\n\nThe md5 of {number(left)} more outputs are in `dvc.lock` and in the version's tags." if left else ""
    more += "" if run else f"\n\n{ELSEWHERE}"
    return table(["What", "Which"], [row for row in rows if row[1]]) + more


def origin(facts: CardFacts) -> str:
    """Return commit, data and encoder in a sentence."""
    run, base = facts.measured, facts.training["base"]
    changed = ", with uncommitted changes" if run.get("git_dirty") else ""
    commit = f"at commit {code(run['git_commit'])}{changed}, " if run.get("git_commit") else ""
    return (
        f"Made {commit}from data {code(facts.manifest['fingerprint'])} and "
        f"the encoder {text(short_name(known(base, 'name')))} {code(known(base, 'sha256'))}."
    )


def _value(value: Any) -> str:
    """Return a threshold or a value of a rule: four decimals at most."""
    if isinstance(value, float):
        shown = number(value)
        return shown.rstrip("0").rstrip(".") if "." in shown else shown
    return number(value) if value is None or isinstance(value, int) else text(value)
