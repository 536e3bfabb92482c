#ifndef SONDE_APP_EMBEDDED_H
#define SONDE_APP_EMBEDDED_H

/* Makes the model that is linked into the binary known as "tiny". */
void embedded_register(void);

#endif
