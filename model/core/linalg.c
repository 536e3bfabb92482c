#include "model/core/linalg.h"

#include <cblas.h>
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* LAPACK by its Fortran interface (the library carries no LAPACKE): column-major, everything by
 * address, and the length of each character argument at the end. */
typedef void (*dsyevd_fn)(const char *jobz, const char *uplo, const int *n, double *a,
    const int *lda, double *w, double *work, const int *lwork, int *iwork, const int *liwork,
    int *info, size_t, size_t);
typedef void (*dgesdd_fn)(const char *jobz, const int *m, const int *n, double *a, const int *lda,
    double *s, double *u, const int *ldu, double *vt, const int *ldvt, double *work,
    const int *lwork, int *iwork, int *info, size_t);
typedef void (*dgeev_fn)(const char *jobvl, const char *jobvr, const int *n, double *a,
    const int *lda, double *wr, double *wi, double *vl, const int *ldvl, double *vr,
    const int *ldvr, double *work, const int *lwork, int *info, size_t, size_t);
typedef void (*dposv_fn)(const char *uplo, const int *n, const int *nrhs, double *a, const int *lda,
    double *b, const int *ldb, int *info, size_t);
typedef void (*dgesv_fn)(const int *n, const int *nrhs, double *a, const int *lda, int *ipiv,
    double *b, const int *ldb, int *info);

static struct {
    __typeof__(&cblas_sgemm) sgemm;
    __typeof__(&cblas_dgemm) dgemm;
    __typeof__(&cblas_dsyrk) dsyrk;
    __typeof__(&openblas_set_num_threads) set_num_threads;
    __typeof__(&openblas_get_corename) get_corename;
    dsyevd_fn dsyevd;
    dgesdd_fn dgesdd;
    dgeev_fn dgeev;
    dposv_fn dposv;
    dgesv_fn dgesv;
} blas;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool loaded;
static char why[256];

/* OpenBLAS 0.3.21 does not know newer AMD cores and takes kernels far below what they can do; it
 * reads the variable once, while it loads. */
void linalg_prepare(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    const char *core = NULL;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        core = "SkylakeX";
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        core = "Haswell";
    if (core)
        setenv("OPENBLAS_CORETYPE", core, 0);
#endif
    setenv("OPENBLAS_NUM_THREADS", "1", 0);
}

static void load(void)
{
    void *lib = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        const char *msg = dlerror();
        strncpy(why, msg ? msg : "not found", sizeof why - 1);
        return;
    }
    const struct {
        const char *name;
        void *slot;
    } symbols[] = {{"cblas_sgemm", &blas.sgemm}, {"cblas_dgemm", &blas.dgemm},
        {"cblas_dsyrk", &blas.dsyrk}, {"openblas_set_num_threads", &blas.set_num_threads},
        {"openblas_get_corename", &blas.get_corename}, {"dsyevd_", &blas.dsyevd},
        {"dgesdd_", &blas.dgesdd}, {"dgeev_", &blas.dgeev}, {"dposv_", &blas.dposv},
        {"dgesv_", &blas.dgesv}};
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *p = dlsym(lib, symbols[i].name);
        if (!p) {
            strcpy(why, "it lacks ");
            strncat(why, symbols[i].name, sizeof why - 32);
            return;
        }
        memcpy(symbols[i].slot, &p, sizeof p);
    }
    blas.set_num_threads(1);
    loaded = true;
}

int linalg_open(struct err *e)
{
    pthread_once(&once, load);
    if (!loaded)
        return err_set(e, ERR_LIMIT,
            "cannot load OpenBLAS (%s); install libopenblas0-pthread or libopenblas0", why);
    return 0;
}

const char *linalg_core_name(void)
{
    return linalg_open(NULL) ? NULL : blas.get_corename();
}

static int check_sizes(int64_t a, int64_t b, int64_t c, struct err *e)
{
    if (a < 0 || b < 0 || c < 0 || a > INT_MAX || b > INT_MAX || c > INT_MAX)
        return err_set(e, ERR_LIMIT, "a matrix of %lld x %lld x %lld is beyond BLAS", (long long)a,
            (long long)b, (long long)c);
    return linalg_open(e);
}

int linalg_sgemm(float *c, int64_t ldc, bool ta, bool tb, int64_t m, int64_t n, int64_t k,
    float alpha, const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
    struct err *e)
{
    int rc = check_sizes(m, n, k, e);
    if (!rc)
        rc = check_sizes(lda, ldb, ldc, e);
    if (!rc && m && n)
        blas.sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
            (int)m, (int)n, (int)k, alpha, a, (int)lda, b, (int)ldb, beta, c, (int)ldc);
    return rc;
}

int linalg_dgemm(double *c, int64_t ldc, bool ta, bool tb, int64_t m, int64_t n, int64_t k,
    double alpha, const double *a, int64_t lda, const double *b, int64_t ldb, double beta,
    struct err *e)
{
    int rc = check_sizes(m, n, k, e);
    if (!rc)
        rc = check_sizes(lda, ldb, ldc, e);
    if (!rc && m && n)
        blas.dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
            (int)m, (int)n, (int)k, alpha, a, (int)lda, b, (int)ldb, beta, c, (int)ldc);
    return rc;
}

int linalg_gram(double *c, const double *a, int64_t m, int64_t n, struct err *e)
{
    int rc = check_sizes(m, n, 0, e);
    if (rc || !n)
        return rc;
    if (m)
        blas.dsyrk(
            CblasRowMajor, CblasUpper, CblasTrans, (int)n, (int)m, 1.0, a, (int)n, 1.0, c, (int)n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            c[i * n + j] = c[j * n + i];
    return 0;
}

static void transpose(double *out, const double *in, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            out[j * rows + i] = in[i * cols + j];
}

static int out_of_memory(struct err *e, int64_t n)
{
    return err_set(e, ERR_LIMIT, "out of memory for a decomposition of size %lld", (long long)n);
}

int linalg_eigh(double *w, double *a, int64_t n, struct err *e)
{
    int rc = check_sizes(n, n, 0, e);
    if (rc || !n)
        return rc;
    int order = (int)n, lwork = -1, liwork = -1, iquery, info = 0;
    double query;
    blas.dsyevd("V", "U", &order, a, &order, w, &query, &lwork, &iquery, &liwork, &info, 1, 1);
    lwork = (int)query;
    liwork = iquery;
    double *work = malloc(((size_t)lwork + (size_t)(n * n)) * sizeof *work);
    int *iwork = malloc((size_t)liwork * sizeof *iwork);
    if (!work || !iwork) {
        rc = out_of_memory(e, n);
    } else {
        blas.dsyevd("V", "U", &order, a, &order, w, work, &lwork, iwork, &liwork, &info, 1, 1);
        if (info)
            rc = err_set(e, ERR_INPUT, "eigenvalues of a %lld x %lld matrix did not converge",
                (long long)n, (long long)n);
        /* Column-major vectors are the rows of the row-major matrix. */
        memcpy(work + lwork, a, (size_t)(n * n) * sizeof *a);
        transpose(a, work + lwork, n, n);
    }
    free(work);
    free(iwork);
    return rc;
}

/* Row-major a is column-major a^T: the same eigenvalues. */
int linalg_eigenvalues(double *re, double *im, double *a, int64_t n, struct err *e)
{
    int rc = check_sizes(n, n, 0, e);
    if (rc || !n)
        return rc;
    int order = (int)n, one = 1, lwork = -1, info = 0;
    double query, none = 0;
    blas.dgeev(
        "N", "N", &order, a, &order, re, im, &none, &one, &none, &one, &query, &lwork, &info, 1, 1);
    lwork = (int)query;
    double *work = malloc((size_t)lwork * sizeof *work);
    if (!work)
        return out_of_memory(e, n);
    blas.dgeev(
        "N", "N", &order, a, &order, re, im, &none, &one, &none, &one, work, &lwork, &info, 1, 1);
    if (info)
        rc = err_set(e, ERR_INPUT, "eigenvalues of a %lld x %lld matrix did not converge",
            (long long)n, (long long)n);
    free(work);
    return rc;
}

/* Row-major a is column-major a^T = V S U^T, so LAPACK's "U" is vt and its "VT" is u. */
int linalg_svd(double *u, double *s, double *vt, double *a, int64_t m, int64_t n, struct err *e)
{
    int rc = check_sizes(m, n, 0, e);
    if (rc || !m || !n)
        return rc;
    int rows = (int)n, cols = (int)m, r = m < n ? (int)m : (int)n, lwork = -1, info = 0;
    double query;
    blas.dgesdd("S", &rows, &cols, a, &rows, s, vt, &rows, u, &r, &query, &lwork, NULL, &info, 1);
    lwork = (int)query;
    double *work = malloc((size_t)lwork * sizeof *work);
    int *iwork = malloc(8 * (size_t)r * sizeof *iwork);
    if (!work || !iwork) {
        rc = out_of_memory(e, m > n ? m : n);
    } else {
        blas.dgesdd(
            "S", &rows, &cols, a, &rows, s, vt, &rows, u, &r, work, &lwork, iwork, &info, 1);
        if (info)
            rc = err_set(e, ERR_INPUT, "singular values of a %lld x %lld matrix did not converge",
                (long long)m, (long long)n);
    }
    free(work);
    free(iwork);
    return rc;
}

static int solve(double *a, double *b, int64_t n, int64_t m, bool spd, struct err *e)
{
    int rc = check_sizes(n, m, 0, e);
    if (rc || !n || !m)
        return rc;
    double *t = malloc((size_t)(n * (n > m ? n : m)) * sizeof *t);
    double *x = malloc((size_t)(n * m) * sizeof *x);
    int *pivot = malloc((size_t)n * sizeof *pivot);
    if (!t || !x || !pivot) {
        rc = out_of_memory(e, n);
    } else {
        int order = (int)n, rhs = (int)m, info = 0;
        transpose(x, b, n, m);
        if (spd) {
            blas.dposv("U", &order, &rhs, a, &order, x, &order, &info, 1);
        } else {
            transpose(t, a, n, n);
            blas.dgesv(&order, &rhs, t, &order, pivot, x, &order, &info);
        }
        if (info)
            rc = err_set(e, ERR_INPUT, "a %lld x %lld system is %s", (long long)n, (long long)n,
                spd ? "not positive definite" : "singular");
        else
            transpose(b, x, m, n);
    }
    free(t);
    free(x);
    free(pivot);
    return rc;
}

int linalg_solve_spd(double *a, double *b, int64_t n, int64_t m, struct err *e)
{
    return solve(a, b, n, m, true, e);
}

int linalg_solve(double *a, double *b, int64_t n, int64_t m, struct err *e)
{
    return solve(a, b, n, m, false, e);
}
