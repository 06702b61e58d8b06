/** Guards that let requests through only with a key that Portcullis verified. */
package dev.portcullis.guard;
