# Not run in this project's CI, which has no container engine; linted only.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p ledgerline-agent

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/ledgerline ledgerline
COPY --from=build /src/target/release/ledgerline-agent /usr/bin/

USER ledgerline
ENTRYPOINT ["/usr/bin/ledgerline-agent"]
CMD ["--config", "/etc/ledgerline/agent.yaml"]
