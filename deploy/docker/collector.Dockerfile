# Not run in this project's CI, which has no container engine.
FROM node:22-bookworm-slim AS console
COPY collector/console /src
RUN LEDGERLINE_CACHE=/cache /src/build.sh

FROM rust:1.95.0-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
COPY --from=console /src/dist collector/console/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked -p ledgerline-collector -p ledgerline-engine \
    && cp target/release/ledgerline-collector target/release/ledgerline-engine /usr/bin/

FROM node:20-bookworm-slim AS library
RUN apt-get update && apt-get install -y --no-install-recommends openssl && rm -rf /var/lib/apt/lists/*
COPY engine/fetch.sh /src/engine/fetch.sh
RUN LEDGERLINE_CACHE=/cache /src/engine/fetch.sh && mv "$(LEDGERLINE_CACHE=/cache /src/engine/fetch.sh)" /libchdb.so

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/ledgerline ledgerline
COPY --from=build /usr/bin/ledgerline-collector /usr/bin/ledgerline-engine /usr/bin/
COPY deploy/docker/collector.yaml /etc/ledgerline/collector.yaml
COPY alerts /etc/ledgerline/alerts
COPY --from=library /libchdb.so /usr/lib/ledgerline/libchdb.so
ENV LEDGERLINE_LIBCHDB=/usr/lib/ledgerline/libchdb.so
USER ledgerline
WORKDIR /var/lib/ledgerline
VOLUME /var/lib/ledgerline
# The configuration wants the token in LEDGERLINE_TOKEN; see compose.yaml.
EXPOSE 4317 4318 4319
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["curl", "--fail", "--silent", "http://127.0.0.1:4319/ready"]
ENTRYPOINT ["/usr/bin/ledgerline-collector"]
CMD ["--config", "/etc/ledgerline/collector.yaml"]
