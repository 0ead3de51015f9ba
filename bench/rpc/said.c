/* said: see said.h. The profile is an ordinary one, 200 bytes packed. */
#include "said.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char id[] = SAID_ID;

const User__GetUserRequest *said_question(void)
{
    static User__GetUserRequest question = USER__GET_USER_REQUEST__INIT;
    question.id = id;
    return &question;
}

const User__Profile *said_answer(void)
{
    static char username[] = "ada.lovelace", nickname[] = "Ada Lovelace", locale[] = "en-GB";
    static char email[] = "ada.lovelace@example.org", time_zone[] = "Europe/London";
    static char avatar[] = "/api/v1/users/" SAID_ID "/avatar?v=3";
    static char description[] = "Writes programs for engines that are not built yet.";
    static User__Profile profile = USER__PROFILE__INIT;
    profile.id = id;
    profile.username = username;
    profile.nickname = nickname;
    profile.email = email;
    profile.avatar_url = avatar;
    profile.description = description;
    profile.locale = locale;
    profile.time_zone = time_zone;
    profile.role = USER__ROLE__USER;
    profile.created_at_ms = 1767225600000;
    profile.updated_at_ms = 1767312000000;
    return &profile;
}

bool said_is_right(const User__Profile *profile)
{
    const User__Profile *expected = said_answer();
    return profile && strcmp(profile->id, expected->id) == 0 &&
           strcmp(profile->description, expected->description) == 0 &&
           profile->updated_at_ms == expected->updated_at_ms;
}

void said_ready(void)
{
    puts("{\"event\": \"ready\"}");
    fflush(stdout);
}

void said_done(uint64_t calls, uint64_t wrong, double seconds)
{
    printf("{\"event\": \"done\", \"calls\": %llu, \"wrong\": %llu, \"seconds\": %.6f}\n",
           (unsigned long long)calls, (unsigned long long)wrong, seconds);
    fflush(stdout);
}

void said_wait(void)
{
    char line[64];
    if (!fgets(line, sizeof(line), stdin))
        exit(0);
}
