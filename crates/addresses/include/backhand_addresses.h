/* What a module of [addresses] (the historical RunDynamic) is called with.
 *
 *   int f(struct interface head, struct interface *set, struct interface owner);
 *
 * head   the first address of the set that came or went
 * set    the addresses behind it, in their order; the first that is all zero ends them
 * owner  the machine that has the set now: its name and its own address; all zero where that is not known
 *
 * After a round of changes (post up, post down) all three are zero. IPv4 only. What the function returns is ignored.
 * Each call is in a process of its own: variables do not live until the next one. The environment and standard input
 * hold more (BACKHAND_EVENT, BACKHAND_REASON ...); standard input has been read already.
 *
 * Build: cc -shared -fPIC -o example.so example.c
 */
#ifndef BACKHAND_ADDRESSES_H
#define BACKHAND_ADDRESSES_H

#include <netinet/in.h>

struct interface {
    char name[16];            /* ends with a zero byte */
    struct in_addr address;   /* network byte order, as all of these */
    struct in_addr broadcast;
    struct in_addr netmask;
    struct in_addr network;
    unsigned char mac[6];     /* zero where it is not known */
};

#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
_Static_assert(sizeof(struct interface) == 40, "struct interface is not what the caller passes");
#endif

#endif
