/* scene: a world with four people who have accounts, made anew for each test of messages. */
#pragma once

#include "talk.h"

extern struct world *w;
extern struct identity admin, ann, bob, cleo;

/* For cmocka_unit_test_setup_teardown. */
int scene_open(void **state);
int scene_close(void **state);
