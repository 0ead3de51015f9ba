/* presence: create, destroy. */
#include "services/presence/presence_internal.h"

enum err presence_create(struct presence_service **out, const struct presence_deps *deps)
{
    struct presence_service *svc = mem_zalloc(sizeof(*svc));
    svc->rpc = presence_rpc_table;
    svc->deps = *deps;
    if (!svc->deps.ttl_ms)
        svc->deps.ttl_ms = 5 * 60 * 1000;
    if (!svc->deps.debounce_ms)
        svc->deps.debounce_ms = 5000;
    if (!svc->deps.write_behind_ms)
        svc->deps.write_behind_ms = 10000;
    id_make(svc->id);
    /* Goes on where the last life of the service stood, or above. */
    svc->version = clock_wall_ms() * 1000;
    pthread_mutex_init(&svc->lock, NULL);
    for (size_t i = 0; i < ARRAY_LEN(svc->setting); i++)
        pthread_mutex_init(&svc->setting[i], NULL);
    svc->people = map_create();
    svc->seen = map_create();
    presence_agenda_start(svc);
    presence_erase_start(svc);
    *out = svc;
    return ERR_OK;
}

ProtobufCService *presence_rpc(struct presence_service *svc)
{
    return &svc->rpc.base;
}

static void free_values(struct map *map)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(map, &at, &key, &value))
        free(value);
}

void presence_destroy(struct presence_service **svcp)
{
    struct presence_service *svc = *svcp;
    *svcp = NULL;
    if (!svc)
        return;
    presence_agenda_stop(svc);
    free_values(svc->people);
    free_values(svc->seen);
    map_destroy(&svc->people);
    map_destroy(&svc->seen);
    pthread_mutex_destroy(&svc->lock);
    for (size_t i = 0; i < ARRAY_LEN(svc->setting); i++)
        pthread_mutex_destroy(&svc->setting[i]);
    free(svc);
}
