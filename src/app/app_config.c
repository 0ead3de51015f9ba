/* The table of options. One row each: it makes the parser, the checks, the environment's names,
 * --help and the example file. */
#include "app/app_config.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/file.h"

#define CONFIG_FILE_MAX_BYTES (1 << 20)
#define C struct app_config

extern char **environ;

static const char *const log_levels[] = {"debug", "info", "warn", "error", "off", NULL};
static const char *const log_formats[] = {"auto", "json", "text", NULL};
static const char *const registrations[] = {"open", "invitation", "closed", NULL};

static const struct config_row rows[] = {
    CONFIG_TEXT(C, data_dir, "data_dir", "./data", "Where everything that must survive lives."),
    CONFIG_TEXT(
        C, public_url, "public_url", "",
        "How people reach this server, for links: https://meet.example.org. Empty: as they came."),
    CONFIG_ENUM(C, log_level, "log.level", "info", log_levels,
                "The least important line that is logged."),
    CONFIG_ENUM(C, log_format, "log.format", "auto", log_formats,
                "auto is text on a terminal, else JSON."),

    CONFIG_TEXT(C, http_host, "http.host", "", "Address to listen on; empty: all, IPv4 and IPv6."),
    CONFIG_INT(C, http_port, "http.port", 8800, 0, 65535, "",
               "Port for HTTP and WebSocket; 0: any free one."),
    CONFIG_INT(C, https_port, "http.tls_port", 8443, 0, 65535, "",
               "Port for the same over TLS; 0: any free one."),
    CONFIG_INT(C, http_loops, "http.loops", 0, 0, 64, "",
               "Threads that serve sockets; 0: one per core."),
    CONFIG_INT(C, drain_ms, "http.drain_ms", 10000, 0, 600000, "ms",
               "How long a stopping server waits for requests in work."),
    CONFIG_LIST(C, trusted_proxies, "http.trusted_proxies", "", NULL,
                "Reverse proxies (addresses or ranges, 127.0.0.1 or 10.0.0.0/8) whose "
                "X-Forwarded-For and X-Forwarded-Proto are believed."),
    CONFIG_BOOL(C, is_rate_limited, "http.rate_limits", true,
                "Limit requests per person and address."),
    CONFIG_BOOL(C, has_tls, "tls.enabled", true,
                "Serve TLS too, with a certificate of our own if none is given."),
    CONFIG_TEXT(C, tls_cert, "tls.cert", "",
                "Certificate chain (fullchain.pem); read again on SIGHUP."),
    CONFIG_TEXT(C, tls_key, "tls.key", "", "Its private key (privkey.pem)."),
    CONFIG_LIST(C, allowed_origins, "cors.allowed_origins", "", "ALLOWED_ORIGINS",
                "Other web sites that may call the API, as https://example.org."),
    CONFIG_BOOL(C, are_metrics_public, "metrics.public", false,
                "Answer /metrics to everybody, not to private addresses alone."),

    CONFIG_SECRET(
        C, jwt_secret, "jwt.secret", "JWT_SECRET",
        "Key of HS256 tokens, at least 32 characters. Empty: made and kept in the data directory."),
    CONFIG_TEXT(C, jwt_key_file, "jwt.key_file", "",
                "PEM key (RSA or EC P-256) for RS256 or ES256 instead."),
    CONFIG_INT(C, jwt_expire_hours, "jwt.expire_hours", 24, 1, 8760, "hours",
               "Life of an access token."),
    CONFIG_INT(C, jwt_refresh_expire_hours, "jwt.refresh_expire_hours", 168, 1, 87600, "hours",
               "Life of a refresh token."),
    CONFIG_ENUM(C, registration, "auth.registration", "open", registrations,
                "Who may make an account."),
    CONFIG_INT(C, password_ops, "auth.password_passes", 2, 1, 20, "", "Argon2id passes."),
    CONFIG_INT(C, password_memory_bytes, "auth.password_memory_bytes", 67108864, 8192, 1073741824,
               "bytes", "Argon2id memory for one password."),

    CONFIG_INT(C, meeting_capacity, "meeting.capacity", 500, 2, 10000, "",
               "People in a meeting, unless it says otherwise."),
    CONFIG_INT(C, meeting_empty_grace_s, "meeting.empty_grace_s", 300, 0, 86400, "s",
               "An unscheduled meeting ends so long after the last person left."),
    CONFIG_INT(C, signaling_resume_s, "signaling.resume_s", 30, 1, 600, "s",
               "A dropped connection may come back unnoticed within this time."),

    CONFIG_TEXT(C, media_host, "media.host", "", "Address for media; empty: all, IPv4 and IPv6."),
    CONFIG_INT(C, media_port, "media.port", 8810, 0, 65535, "",
               "UDP port for all media; 0: any free one."),
    CONFIG_INT(C, media_workers, "media.workers", 0, 0, 32, "", "Packet threads; 0: one per core."),
    CONFIG_LIST(
        C, media_announced, "media.announced_addresses", "", NULL,
        "Addresses that clients are told (behind NAT: the public one). Empty: this machine's own."),
    CONFIG_LIST(C, media_stun, "media.stun_urls", "", NULL,
                "STUN servers for clients, as stun:host:port."),

    CONFIG_INT(C, cache_bytes, "cache.max_bytes", 67108864, 1048576, 68719476736, "bytes",
               "Memory of the embedded cache."),
    CONFIG_INT(C, service_threads, "services.threads", 4, 1, 256, "",
               "Worker threads of each service."),
    CONFIG_BOOL(C, is_packing_calls, "services.pack_calls", false,
                "Pack and unpack calls within the process too, as between processes: for tests."),
};

#undef C

const struct config_table app_config_table = {.rows = rows, .count = ARRAY_LEN(rows)};

enum err app_config_load(const char *path, struct arena *arena, struct app_config *out,
                         struct strbuf *problem)
{
    char *text = NULL;
    size_t n = 0;
    bool is_default = !path;
    const char *name = path ? path : "parlance.yaml";
    if (!is_default || access(name, F_OK) == 0) {
        enum err err = file_read(name, CONFIG_FILE_MAX_BYTES, &text, &n);
        if (err) {
            strbuf_printf(problem, "%s: cannot be read: %s", name, err_text(err));
            return err;
        }
    }
    enum err err = config_parse(&app_config_table, (struct str){text ? text : "", n}, name, environ,
                                arena, out, problem);
    free(text);
    return err;
}
