/* scene: see scene.h. */
#include "scene.h"

struct world *w;
struct identity admin, ann, bob, cleo;

int scene_open(void **state UNUSED)
{
    w = world_open(&(struct world_options){0});
    admin = world_register(w, "admin");
    ann = world_register(w, "ann");
    bob = world_register(w, "bob");
    cleo = world_register(w, "cleo");
    return 0;
}

int scene_close(void **state UNUSED)
{
    world_close(&w);
    return 0;
}
