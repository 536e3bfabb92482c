#ifndef SONDE_VIEWS_ORDER_H
#define SONDE_VIEWS_ORDER_H

#include "views/view.h"

#define ORDER_MAX ((int64_t)1 << 20) /* longer axes keep their own order */

/* The order in which bars and the rows of a table are drawn: the axis' own, or by value, the largest
 * first, NaN last, equals by index. Only the part on the screen is ever sorted. */
struct order {
    int64_t n;       /* drawn: all, or the top so many */
    const double *v; /* [total], NULL: the axis' own order */
    int64_t *index;  /* [total], partly sorted */
    int64_t total;
    bool by_abs;
};

struct order order_own(int64_t n);
/* v is borrowed. top 0: all. */
int order_by_value(struct order *out, const double *v, int64_t n, bool by_abs, int64_t top,
    struct arena *frame, struct err *e);
/* Where an index stands; the last place where the top so many leave it out. */
int64_t order_place(const struct order *o, int64_t index);
/* The indices at places first .. first + count - 1, in `out`. */
void order_window(int64_t *out, struct order *o, int64_t first, int64_t count);
int64_t order_at(struct order *o, int64_t place);

#endif
