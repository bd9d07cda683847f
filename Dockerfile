# docker build -t stakeout .
# docker run -v stakeout:/data -v ./config.toml:/etc/stakeout/config.toml:ro stakeout
#
# To reach /metrics from outside the container, let it listen on 0.0.0.0:8787 in `[web]`, with a token.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked && mkdir /data

# Holds glibc, the certificates and a user without rights, and no shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/stakeout /usr/local/bin/stakeout
COPY --from=build --chown=nonroot:nonroot /data /data
ENV STAKEOUT_DATA_DIR=/data
VOLUME /data
EXPOSE 8787
ENTRYPOINT ["/usr/local/bin/stakeout"]
CMD ["run", "-c", "/etc/stakeout/config.toml"]
