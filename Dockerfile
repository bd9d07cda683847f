# docker build -t stakeout .
# docker run -d --name stakeout --read-only --cap-drop ALL -p 127.0.0.1:8787:8787 -v stakeout:/var/lib/stakeout \
#     -v ./stakeout:/etc/stakeout:ro stakeout
#
# The folder ./stakeout holds config.toml; a file that is mounted alone stays the old one when an editor writes it anew.
# For a port to be reached from outside the container, `[web]` listens on 0.0.0.0:8787, with a token. For another
# processor: `docker build --platform linux/arm64 .`, without emulation. Podman and buildah read it too; they keep
# the HEALTHCHECK with `--format docker`.

# The compiler runs on the machine that builds and writes for the one that runs.
FROM --platform=$BUILDPLATFORM docker.io/library/rust:1.95-bookworm AS build
ARG TARGETARCH
# `dev` is built in a minute or two, for a try.
ARG PROFILE=release

RUN apt-get update -q \
    && foreign= \
    && if [ "$TARGETARCH" != "$(dpkg --print-architecture)" ]; then \
        case "$TARGETARCH" in \
            amd64) foreign="gcc-x86-64-linux-gnu libc6-dev-amd64-cross" ;; \
            arm64) foreign="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;; \
            *) echo "not built for: $TARGETARCH" >&2; exit 1 ;; \
        esac \
    fi \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends ca-certificates tzdata $foreign \
    && rm -rf /var/lib/apt/lists/*

# All that lies in the image beside the program: no shell, no package manager, nobody else's program.
RUN install -d /image/etc/ssl/certs /image/etc/stakeout /image/usr/share \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    # Debian's tables are newer than those inside the program, which it has for where there are none.
    && cp -a /usr/share/zoneinfo /image/usr/share/zoneinfo \
    && rm -rf /image/usr/share/zoneinfo/posix /image/usr/share/zoneinfo/right \
    && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
    && echo 'stakeout:x:65532:65532::/var/lib/stakeout:/nonexistent' > /image/etc/passwd \
    && echo 'stakeout:x:65532:' > /image/etc/group \
    && install -d -m 0700 /owned/stakeout

WORKDIR /src
COPY . .

# What was downloaded and compiled before stays on the machine that builds, so a changed file compiles this crate
# alone. It is no part of any layer, so the program is copied out in the same step. The `touch` is for a checkout
# that is older than what was last built.
#
# glibc is linked in: since 2.34 the look-ups in /etc/hosts and by DNS need no library that is loaded later. The
# target is always named, so that build scripts and macros, which run here, are built the ordinary way. Kernels for
# arm64 have pages of 4, 16 or 64 kB; jemalloc has to be built for the largest.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=stakeout-target,target=/src/target,sharing=locked \
    case "$TARGETARCH" in \
        amd64) target=x86_64-unknown-linux-gnu ;; \
        arm64) target=aarch64-unknown-linux-gnu; export JEMALLOC_SYS_WITH_LG_PAGE=16 ;; \
    esac \
    && { [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || rustup target add "$target"; } \
    && export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        RUSTFLAGS="-C target-feature=+crt-static" CARGO_INCREMENTAL=0 \
    && touch src/lib.rs src/main.rs build.rs \
    && cargo build --profile "$PROFILE" --locked --bin stakeout --target "$target" \
    && install -D "target/$target/$(echo "$PROFILE" | sed 's/^dev$/debug/')/stakeout" /image/usr/bin/stakeout

FROM scratch
# The commit, where whoever builds says it.
ARG REVISION=
LABEL org.opencontainers.image.title="stakeout" \
    org.opencontainers.image.description="Watches markets, shops and price data, and tells you the moment it matters" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0" \
    org.opencontainers.image.revision="$REVISION"

COPY --from=build /image/ /
COPY --from=build --chown=65532:65532 /owned/ /var/lib/

# The volume is the one place that is written to, also by SQLite when a sort is too large for memory.
ENV PATH=/usr/bin \
    STAKEOUT_CONFIG=/etc/stakeout/config.toml \
    STAKEOUT_DATA_DIR=/var/lib/stakeout \
    TMPDIR=/var/lib/stakeout
WORKDIR /var/lib/stakeout
VOLUME /var/lib/stakeout
USER 65532:65532
EXPOSE 8787
STOPSIGNAL SIGTERM
# An engine looks first after one such interval, unless it is told a `start_interval` as in deploy/compose.yaml. Not
# well for half a minute is unhealthy.
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["/usr/bin/stakeout", "health"]
ENTRYPOINT ["/usr/bin/stakeout"]
CMD ["run"]
