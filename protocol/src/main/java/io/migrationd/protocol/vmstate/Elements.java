package io.migrationd.protocol.vmstate;

/** First bytes of stream elements, as far as this package has to tell them apart. */
final class Elements {
    static final int EOF = 0x00;
    static final int SECTION_START = 0x01;
    static final int SECTION_PART = 0x02;
    static final int SECTION_END = 0x03;
    static final int SECTION_FULL = 0x04;
    static final int SUBSECTION = 0x05;
    static final int VMDESCRIPTION = 0x06;
    static final int COMMAND = 0x08;
    static final int SECTION_FOOTER = 0x7E;

    private Elements() {}
}
