# The usual build: docker build --build-arg COMMIT=$(git rev-parse HEAD) --tag iam-token-operator:0.1.0 .
# For two architectures: docker buildx build --platform linux/amd64,linux/arm64 .
# Without a container engine, and with the same digest each time: make image
FROM docker.io/library/rust:1.95.0-alpine AS build
RUN apk add --no-cache ca-certificates musl-dev
WORKDIR /src
COPY . .
ARG COMMIT=unknown
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    IAM_TOKEN_OPERATOR_COMMIT=$COMMIT cargo build --locked --release --bin iam-token-operator

# Where there is nothing else, only a static program starts.
FROM scratch AS tried
COPY --from=build /src/target/release/iam-token-operator /iam-token-operator
RUN ["/iam-token-operator", "--version"]

FROM scratch
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="iam-token-operator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision=$COMMIT
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=tried /iam-token-operator /iam-token-operator
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/iam-token-operator"]
