/*
 * mem: malloc that cannot return NULL. Half of all error paths vanish this way, and a server that
 * cannot get 100 bytes is better restarted than kept half alive. The last words go straight to
 * stdout with write(2), for log.c itself allocates.
 */
#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn COLD void mem_fail(const char *why, size_t bytes)
{
    char line[128];
    int n = snprintf(line, sizeof(line),
                     "{\"level\":\"error\",\"msg\":\"%s: %zu bytes; giving up\"}\n", why, bytes);
    if (n > 0 && write(STDOUT_FILENO, line, (size_t)n) < 0)
        abort();
    abort();
}

void *mem_alloc(size_t bytes)
{
    void *p = malloc(bytes ? bytes : 1);
    if (unlikely(!p))
        mem_fail("out of memory", bytes);
    return p;
}

void *mem_zalloc(size_t bytes)
{
    return mem_calloc(1, bytes);
}

void *mem_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (unlikely(__builtin_mul_overflow(count, size, &bytes)))
        mem_fail("allocation overflows", count);
    void *p = calloc(1, bytes ? bytes : 1);
    if (unlikely(!p))
        mem_fail("out of memory", bytes);
    return p;
}

void *mem_realloc(void *p, size_t bytes)
{
    void *moved = realloc(p, bytes ? bytes : 1);
    if (unlikely(!moved))
        mem_fail("out of memory", bytes);
    return moved;
}

void *mem_realloc_array(void *p, size_t count, size_t size)
{
    size_t bytes;
    if (unlikely(__builtin_mul_overflow(count, size, &bytes)))
        mem_fail("allocation overflows", count);
    return mem_realloc(p, bytes);
}

char *mem_strdup(const char *s)
{
    return s ? mem_dup(s, strlen(s) + 1) : NULL;
}

void *mem_dup(const void *bytes, size_t n)
{
    void *copy = mem_alloc(n);
    if (n)
        memcpy(copy, bytes, n);
    return copy;
}
