# What is done often. `just` lists it.
default:
    @just --list

# Does it compile
check:
    cargo check --all-targets

# Everything the tests promise; STAKEOUT_FIXTURES names the folder of captured replies, where there is one
test *filter:
    cargo nextest run {{ filter }}

# What a change must pass
ci:
    .ci/run

# Format, lints, licences and advisories
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo deny check

# The figures beside their aims; STAKEOUT_ORIGIN names the program of the local origin
bench *sections:
    cargo bench --bench figures -- {{ sections }}

# Size, exposure, start, and memory after a minute, beside their aims; STAKEOUT_FIGURES_HOUR=3600: after a real hour
small:
    cargo bench --bench figures -- small

# Alerts within seconds, without network or configuration
demo:
    cargo run -- demo

# Under load, with receivers that refuse, killed sixty times: two and a half minutes, prints its counts
torture:
    cargo test --test it torture -- --ignored --nocapture

# Bytes that break a parser, looked for so many seconds in each target: `just fuzz 600`, `just fuzz 600 newegg`
fuzz seconds="60" *targets:
    fuzz/run {{ seconds }} {{ targets }}

# The hours of the exchanges against those of PyPI's exchange_calendars
calendars:
    python3 -m venv target/calendars && target/calendars/bin/pip install --quiet exchange_calendars
    target/calendars/bin/python src/sessions/check_calendars.py

# The API against its description, asked by PyPI's schemathesis
schemathesis examples="100":
    python3 -m venv target/schemathesis && target/schemathesis/bin/pip install --quiet --upgrade schemathesis
    STAKEOUT_EXAMPLES={{ examples }} cargo nextest run schemathesis --no-capture
