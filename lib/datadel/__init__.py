"""DataDEL (section 3.1): manifests of the data sets, and the way from there to an index of images.

Read in this order: ``manifest`` (what is known of a set), ``fetch``, ``unpack``, ``layout`` (what is an image, which
masks belong to it), ``prepare``, ``overlap`` (what is tested on and pre-trained on).
"""
