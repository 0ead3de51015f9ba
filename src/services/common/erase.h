/*
 * erase: an account that is erased leaves one task for each service that keeps something of people,
 * queued in the transaction that marks the account: whatever crashes, each service gets to it, and
 * again until it is done. A service works on its queue alone and touches its tables alone. The
 * payload is the account's id.
 */
#pragma once

#define ERASE_QUEUE(service) "erase_" service
#define ERASE_ATTEMPTS_MAX 200 /* with the back-off of tasks: about a week */
