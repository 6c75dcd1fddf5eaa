# What CI runs, one recipe a check. `just` lists them, `just ci` runs them all.

_default:
    @just --list

# Everything.
ci: fmt clippy test models secrets features sans-io docs examples benches package deny rust-version fuzz-targets

fmt:
    cargo fmt --all --check

clippy:
    cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

test:
    cargo test --workspace --all-features

# loom tries every order in which threads can meet, in modules named `model`, each in a build of its own.
models:
    RUSTFLAGS="--cfg idpflare_loom" cargo test --workspace --all-features --locked --lib --target-dir target/loom model

# What hyper tells is listened to as well, which it does only in a build of its own.
secrets:
    RUSTFLAGS="--cfg hyper_unstable_tracing" cargo test --all-features --locked --test secrets --target-dir target/hyper-tracing

# Every combination of features builds by itself, without what dev-dependencies switch on.
features:
    cargo hack clippy --workspace --feature-powerset --no-dev-deps -- -D warnings
    cargo check --tests --examples --no-default-features --locked

# Without default features no HTTP, TLS or socket code is left in the tree.
sans-io:
    .ci/sans-io

docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps --locked

# The examples, as a newcomer runs them.
examples:
    .ci/examples

# The benchmarks run; what they measure in so short a time is not looked at.
benches:
    cargo fmt --manifest-path benches/peers/Cargo.toml --check
    cargo clippy --manifest-path benches/peers/Cargo.toml --locked -- -D warnings
    cargo bench --all-features --locked --bench overhead -- --short
    cargo bench --all-features --locked --bench quota -- --short
    cargo bench --all-features --locked --bench scale -- --short
    cargo bench --manifest-path benches/peers/Cargo.toml --locked -- --short

package:
    .ci/package

# Licences, sources and banned crates. Advisories need their database, which is fetched separately.
deny:
    cargo deny --locked check --hide-inclusion-graph bans licenses sources

# `rust-version` is what the dependencies ask for, no more and no less.
rust-version:
    .ci/rust-version

# The fuzz targets build; libFuzzer takes a C++ compiler.
fuzz-targets:
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    cargo clippy --manifest-path fuzz/Cargo.toml --locked -- -D warnings

# Not a part of CI: each target for so many seconds.
fuzz seconds="60":
    IDPFLARE_FUZZ_CORPUS=fuzz/corpus cargo test --test properties seeds_are_written
    for target in errors headers ids replies; do \
        RUSTC_BOOTSTRAP=1 cargo fuzz run "$target" -- -max_total_time={{seconds}} || exit; \
    done
