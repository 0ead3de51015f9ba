#!/bin/bash
# Fails, and says which, when a secret of .env is still the example's or too short to be one.
set -u
wrong=0
for name in JWT_SECRET CLUSTER_SECRET POSTGRES_PASSWORD REDIS_PASSWORD ETCD_PASSWORD MINIO_PASSWORD MONGO_PASSWORD GRAFANA_PASSWORD; do
    value=${!name-}
    least=16
    case $name in *_SECRET) least=32 ;; esac
    problem=
    case $value in
    *change-me*) problem="is as in .env.example" ;;
    # They stand in addresses (postgres://name:password@host).
    *[!A-Za-z0-9_.~-]*) problem="may hold letters, digits, dots, dashes, underscores and tildes alone" ;;
    esac
    [ "${#value}" -ge $least ] || problem="needs at least $least characters"
    [ -n "$problem" ] || continue
    echo "$name $problem: set it in .env (openssl rand -hex 32)" >&2
    wrong=1
done
exit $wrong
