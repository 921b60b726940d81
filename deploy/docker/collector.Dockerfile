# Not run in this project's CI, which has no container engine.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p ledgerline-collector -p ledgerline-engine

FROM node:20-bookworm-slim AS library
RUN apt-get update && apt-get install -y --no-install-recommends openssl && rm -rf /var/lib/apt/lists/*
COPY engine/fetch.sh /src/engine/fetch.sh
RUN LEDGERLINE_CACHE=/cache /src/engine/fetch.sh && mv "$(LEDGERLINE_CACHE=/cache /src/engine/fetch.sh)" /libchdb.so

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/ledgerline ledgerline
COPY --from=build /src/target/release/ledgerline-collector /src/target/release/ledgerline-engine /usr/bin/
COPY --from=library /libchdb.so /usr/lib/ledgerline/libchdb.so
ENV LEDGERLINE_LIBCHDB=/usr/lib/ledgerline/libchdb.so
USER ledgerline
WORKDIR /var/lib/ledgerline
VOLUME /var/lib/ledgerline
# To be reached from other containers, the configuration names 0.0.0.0 in `listen` and tokens in `auth`.
EXPOSE 4317 4318 4319
ENTRYPOINT ["/usr/bin/ledgerline-collector"]
CMD ["--config", "/etc/ledgerline/collector.yaml"]
