#include "app/embedded.h"

#include "datasets/embedded.h"
#include "model/model.h"

void embedded_register(void)
{
    static struct embedded_file files[EMBEDDED_TINY_FILES];
    for (int i = 0; i < EMBEDDED_TINY_FILES; i++)
        files[i] = (struct embedded_file){
            embedded_tiny[i].name, embedded_tiny[i].data, embedded_tiny[i].bytes};
    model_register_embedded("tiny", files, EMBEDDED_TINY_FILES);
}
