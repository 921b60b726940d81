# Not run in this project's CI, which has no container engine.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p ledgerline-agent

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system ledgerline
COPY --from=build /src/target/release/ledgerline-agent /usr/bin/
USER ledgerline
# Beside the service in one pod, loopback is right. To be reached from other containers, the configuration says
# `listen: 0.0.0.0:4100` and `allow_remote: true`.
EXPOSE 4100 4101
ENTRYPOINT ["/usr/bin/ledgerline-agent"]
CMD ["--config", "/etc/ledgerline/agent.yaml"]
