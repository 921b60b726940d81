# Not run in this project's CI, which has no container engine.
FROM rust:1.95.0-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked -p ledgerline-agent && cp target/release/ledgerline-agent /usr/bin/

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/* \
    && useradd --system ledgerline
COPY --from=build /usr/bin/ledgerline-agent /usr/bin/
COPY deploy/docker/agent.yaml /etc/ledgerline/agent.yaml
USER ledgerline
# The configuration for compose.yaml. Beside the service in one pod, mount one that listens on loopback instead.
EXPOSE 4100 4101
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["curl", "--fail", "--silent", "http://127.0.0.1:4101/ready"]
ENTRYPOINT ["/usr/bin/ledgerline-agent"]
CMD ["--config", "/etc/ledgerline/agent.yaml"]
