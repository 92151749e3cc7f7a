"""C text of the kernels: products with matrices, elimination, Householder's least squares."""

from __future__ import annotations

__all__ = ["KERNELS", "RESTRICT"]

RESTRICT = """\
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize ("O3") /* the loops of the products as vector operations, with the same roundings */
#endif

#if defined(__GNUC__)
#define RF_RESTRICT __restrict__
#elif defined(_MSC_VER)
#define RF_RESTRICT __restrict
#else
#define RF_RESTRICT
#endif
"""

#: Name -> text; those that a program does not use are left out.
KERNELS: dict[str, str] = {
    "rf_min": """\
static double rf_min(double a, double b) { return a < b || a != a ? a : b; }
""",
    "rf_max": """\
static double rf_max(double a, double b) { return a > b || a != a ? a : b; }
""",
    "rf_sign": """\
static double rf_sign(double a) { return a != a ? a : (double)((a > 0.0) - (a < 0.0)); }
""",
    "rf_square": """\
static double rf_square(double a) { return a * a; }
""",
    "rf_vecmat": """\
/* y = x M, M (rows, columns) */
static void rf_vecmat(int rows, int columns, const double *RF_RESTRICT x, const double *RF_RESTRICT M,
                      double *RF_RESTRICT y)
{
    int k = 0;
    for (int j = 0; j < columns; j++) y[j] = 0.0;
    for (; k + 4 <= rows; k += 4) {
        const double *RF_RESTRICT row = M + (long)k * columns;
        const double a = x[k], b = x[k + 1], c = x[k + 2], d = x[k + 3];
        for (int j = 0; j < columns; j++)
            y[j] += a * row[j] + b * row[j + columns] + c * row[j + 2 * columns] + d * row[j + 3 * columns];
    }
    for (; k < rows; k++)
        for (int j = 0; j < columns; j++) y[j] += x[k] * M[(long)k * columns + j];
}
""",
    "rf_vecmat_packed": """\
/* y = x M; of every four rows of M only the columns first .. last - 1 are kept; the last, fewer rows are whole */
static void rf_vecmat_packed(int rows, int columns, const double *RF_RESTRICT x, const int *RF_RESTRICT ends,
                             const double *RF_RESTRICT M, double *RF_RESTRICT y)
{
    int k = 0;
    for (int j = 0; j < columns; j++) y[j] = 0.0;
    for (; k + 4 <= rows; k += 4, ends += 2) {
        const int width = ends[1] - ends[0];
        const double a = x[k], b = x[k + 1], c = x[k + 2], d = x[k + 3];
        double *RF_RESTRICT z = y + ends[0];
        for (int j = 0; j < width; j++)
            z[j] += a * M[j] + b * M[j + width] + c * M[j + 2 * width] + d * M[j + 3 * width];
        M += 4 * width;
    }
    for (; k < rows; k++, M += columns)
        for (int j = 0; j < columns; j++) y[j] += x[k] * M[j];
}
""",
    "rf_matvec": """\
/* y = M x, M (rows, columns) */
static void rf_matvec(int rows, int columns, const double *RF_RESTRICT M, const double *RF_RESTRICT x,
                      double *RF_RESTRICT y)
{
    for (int i = 0; i < rows; i++, M += columns) {
        double a = 0.0, b = 0.0, c = 0.0, d = 0.0;
        int j = 0;
        for (; j + 4 <= columns; j += 4) {
            a += M[j] * x[j];
            b += M[j + 1] * x[j + 1];
            c += M[j + 2] * x[j + 2];
            d += M[j + 3] * x[j + 3];
        }
        for (; j < columns; j++) a += M[j] * x[j];
        y[i] = (a + b) + (c + d);
    }
}
""",
    "rf_solve": """\
/* A x = b by elimination with row pivots; A (n, n) is lost, b (n, k) becomes x */
static void rf_solve(int n, int k, double *RF_RESTRICT A, double *RF_RESTRICT b)
{
    for (int c = 0; c < n; c++) {
        int best = c;
        for (int i = c + 1; i < n; i++)
            if (fabs(A[i * n + c]) > fabs(A[best * n + c])) best = i;
        if (best != c) {
            for (int j = c; j < n; j++) {
                const double kept = A[c * n + j];
                A[c * n + j] = A[best * n + j];
                A[best * n + j] = kept;
            }
            for (int j = 0; j < k; j++) {
                const double kept = b[c * k + j];
                b[c * k + j] = b[best * k + j];
                b[best * k + j] = kept;
            }
        }
        for (int i = c + 1; i < n; i++) {
            const double factor = A[i * n + c] / A[c * n + c];
            for (int j = c + 1; j < n; j++) A[i * n + j] -= factor * A[c * n + j];
            for (int j = 0; j < k; j++) b[i * k + j] -= factor * b[c * k + j];
        }
    }
    for (int c = n - 1; c >= 0; c--) {
        for (int i = c + 1; i < n; i++)
            for (int j = 0; j < k; j++) b[c * k + j] -= A[c * n + i] * b[i * k + j];
        for (int j = 0; j < k; j++) b[c * k + j] /= A[c * n + c];
    }
}
""",
    "rf_solve_definite": """\
/* A x = b, A (n, n) symmetric positive definite: elimination in its upper half; A is lost, b (n, k) becomes x, which is
   NaN where A is not definite */
static void rf_solve_definite(int n, int k, double *RF_RESTRICT A, double *RF_RESTRICT b)
{
    for (int c = 0; c < n; c++) {
        double *RF_RESTRICT pivot = A + c * n;
        if (!(pivot[c] > 0.0)) pivot[c] = NAN;
        for (int i = c + 1; i < n; i++) {
            const double factor = pivot[i] / pivot[c];
            double *RF_RESTRICT row = A + i * n;
            for (int j = i; j < n; j++) row[j] -= factor * pivot[j];
            for (int j = 0; j < k; j++) b[i * k + j] -= factor * b[c * k + j];
        }
    }
    for (int c = n - 1; c >= 0; c--) {
        for (int i = c + 1; i < n; i++)
            for (int j = 0; j < k; j++) b[c * k + j] -= A[c * n + i] * b[i * k + j];
        for (int j = 0; j < k; j++) b[c * k + j] /= A[c * n + c];
    }
}
""",
    "rf_least_squares": """\
/* argmin ||A x - b|| by Householder's reflections; A (m, n) and b (m) are lost, x (n), s (n) is scratch */
static void rf_least_squares(int m, int n, double *RF_RESTRICT A, double *RF_RESTRICT b, double *RF_RESTRICT x,
                             double *RF_RESTRICT s)
{
    for (int c = 0; c < n; c++) {
        double size = 0.0, head, norm = 0.0, share = 0.0;
        for (int i = c; i < m; i++) size = fabs(A[i * n + c]) > size ? fabs(A[i * n + c]) : size;
        x[c] = 0.0;
        if (!(size > 0.0)) continue;
        for (int i = c; i < m; i++) norm += (A[i * n + c] / size) * (A[i * n + c] / size);
        norm = size * sqrt(norm);
        head = A[c * n + c] > 0.0 ? -norm : norm;
        A[c * n + c] -= head;
        for (int j = c + 1; j < n; j++) s[j] = 0.0;
        for (int i = c; i < m; i++) {
            const double v = A[i * n + c];
            for (int j = c + 1; j < n; j++) s[j] += v * A[i * n + j];
            share += v * b[i];
        }
        /* 2 / ||v||^2 = -1 / (head v_c) */
        for (int i = c; i < m; i++) {
            const double v = A[i * n + c] / (head * A[c * n + c]);
            for (int j = c + 1; j < n; j++) A[i * n + j] += v * s[j];
            b[i] += v * share;
            if (i == c) x[c] = head;
        }
    }
    /* A holds the reflections on and below its diagonal; the diagonal of R is in x */
    for (int c = n - 1; c >= 0; c--) {
        double rest = b[c];
        for (int i = c + 1; i < n; i++) rest -= A[c * n + i] * x[i];
        x[c] = rest / x[c];
    }
}
""",
}
