"""The one place that knows which Keras and which backend are in use; a file for each subject.

Importing it imports Keras, before any of its files is read: so `tfq.registration` can wait for it.
"""

from tfq.backend import keras as keras
