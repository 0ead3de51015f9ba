/* store_suite: the parts of the store's conformance suite; each returns how many tests failed. */
#pragma once

#include "store_fixture.h"

int store_commit_suite(void);
int store_migrate_suite(void);
