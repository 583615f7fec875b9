# One image for all three programs, and for the migrations. It holds the same .ts files that the tests
# ran: Node strips the types, nothing is built. The command says which program a container is.
FROM node:24-bookworm-slim AS packages
WORKDIR /scrivener
COPY . .
# The optional packages are PostgreSQL and Node themselves, for development.
RUN npm ci --omit=dev --omit=optional --ignore-scripts && npm cache clean --force

FROM node:24-bookworm-slim
WORKDIR /scrivener
ENV NODE_ENV=production
COPY --from=packages /scrivener/package.json ./
COPY --from=packages /scrivener/node_modules node_modules
COPY --from=packages /scrivener/libs libs
COPY --from=packages /scrivener/apps apps
COPY --from=packages /scrivener/migrations migrations
COPY --from=packages /scrivener/scripts scripts
USER node
CMD ["node", "--max-semi-space-size=16", "--import=@scrivener/runtime/telemetry", "apps/api/src/main.ts", "-config", "/etc/scrivener/server.json"]
