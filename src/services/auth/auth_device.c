/*
 * auth_device: a name for a sign-in that people recognise in a list, guessed from the user agent:
 * "Firefox on Linux". Only for showing; nothing is decided by it.
 */
#include "services/auth/auth_internal.h"

struct mark {
    const char *text, *name;
};

/* The first mark found wins: browsers name those they descend from, too. */
static const char *find_mark(const char *agent, const struct mark *marks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strstr(agent, marks[i].text))
            return marks[i].name;
    return NULL;
}

const char *auth_device_name(struct arena *arena, const char *agent)
{
    static const struct mark browsers[] = {
        {"Edg/", "Edge"},        {"OPR/", "Opera"},       {"SamsungBrowser/", "Samsung Internet"},
        {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},   {"CriOS/", "Chrome"},
        {"Chrome/", "Chrome"},   {"Chromium/", "Chrome"}, {"Safari/", "Safari"},
        {"curl/", "curl"},       {"node", "Node.js"},
    };
    static const struct mark systems[] = {
        {"iPhone", "iPhone"},   {"iPad", "iPad"},       {"Android", "Android"},
        {"Windows", "Windows"}, {"Macintosh", "macOS"}, {"CrOS", "ChromeOS"},
        {"Linux", "Linux"},
    };
    if (!agent)
        return "";
    const char *browser = find_mark(agent, browsers, ARRAY_LEN(browsers));
    const char *system = find_mark(agent, systems, ARRAY_LEN(systems));
    if (browser && system)
        return arena_printf(arena, "%s on %s", browser, system);
    return browser ? browser : system ? system : "";
}
