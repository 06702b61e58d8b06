/** The client of Portcullis. */
package dev.portcullis.client;
