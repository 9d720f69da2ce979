# The program alone, static, for amd64 and arm64. docs/CONTAINER.md says how to build and to run it.
ARG GO=docker.io/library/golang:1.26
# A base with the same content for any architecture, such as gcr.io/distroless/static-debian12.
ARG BASE=scratch

FROM --platform=${BUILDPLATFORM} ${GO} AS build
WORKDIR /src
COPY . .
ARG TARGETARCH
ARG VERSION=dev
RUN CGO_ENABLED=0 GOOS=linux GOARCH=${TARGETARCH} go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" \
      -o /rootfs/usr/local/bin/etcd-rolling-backup .
# A volume gets owner and mode of the directory in the image. The times are constant, so that equal sources make equal images.
ARG SOURCE_DATE_EPOCH=0
RUN mkdir -p /rootfs/etc/ssl/certs && cp /etc/ssl/certs/ca-certificates.crt /rootfs/etc/ssl/certs/ && \
    mkdir -m 0700 /rootfs/backup && chown 65532:65532 /rootfs/backup && \
    find /rootfs -exec touch -h -d "@${SOURCE_DATE_EPOCH}" {} +

FROM ${BASE}
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="etcd-rolling-backup" \
      org.opencontainers.image.description="Takes, verifies, keeps, mirrors and restores snapshots of etcd" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /rootfs /
ENV ETCD_BACKUP_DIR=/backup
VOLUME /backup
# Neither root nor a user of the host. For keys that only root can read, run it with --user 0:0.
USER 65532:65532
EXPOSE 9979
STOPSIGNAL SIGTERM
# The first snapshot may take a while. There is no shell.
HEALTHCHECK --interval=30s --timeout=10s --start-period=5m --retries=3 CMD ["/usr/local/bin/etcd-rolling-backup", "health"]
ENTRYPOINT ["/usr/local/bin/etcd-rolling-backup"]
